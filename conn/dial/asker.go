package dial

import "context"

// asker puts the questions of all connections to one Prompter, one at a time.
type asker struct {
	to   Prompter
	turn chan struct{} // holds one token while a question is open
}

func newAsker(p Prompter) *asker {
	if p == nil {
		p = NoPrompter{}
	}
	return &asker{to: p, turn: make(chan struct{}, 1)}
}

func (a *asker) interactive() bool { return a.to.Interactive() }

func (a *asker) password(ctx context.Context, question string) (string, error) {
	done, err := a.wait(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return a.to.Password(ctx, question)
}

func (a *asker) confirm(ctx context.Context, question string) (bool, error) {
	done, err := a.wait(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	return a.to.Confirm(ctx, question)
}

func (a *asker) wait(ctx context.Context) (done func(), err error) {
	select {
	case a.turn <- struct{}{}:
		return func() { <-a.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
