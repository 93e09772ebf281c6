package dial

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// errNoMoreAnswers ends a method whose only answer was refused.
var errNoMoreAnswers = errors.New("no other answer to give")

// errHostNotSure keeps passwords from a server that did not show its known key.
var errHostNotSure = errors.New("no password is sent to a server whose host key changed")

// passwordMethod is the method password, tried tries times.
func (a *attempt) passwordMethod(tries int) ssh.AuthMethod {
	answer := a.passwords()
	question := fmt.Sprintf("Password of %s at %s: ", a.hop.cfg.User, a.hop.cfg.Alias)
	return ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) { return answer(question) }), tries)
}

// interactiveMethod is keyboard-interactive. A server mostly asks for the
// password with it; other questions, such as for a code, go to the user.
func (a *attempt) interactiveMethod(tries int) ssh.AuthMethod {
	answer := a.passwords()
	challenge := func(name, instruction string, questions []string, echos []bool) ([]string, error) {
		if text := oneLine(name + " " + instruction); text != "" {
			a.hop.log.Info("the server says", "text", text)
		}
		answers := make([]string, len(questions))
		for i, q := range questions {
			put := a.ask
			if isPasswordQuestion(q, echos[i]) {
				put = answer
			}
			var err error
			if answers[i], err = put(fmt.Sprintf("%s at %s asks: %s ", a.hop.cfg.User, a.hop.cfg.Alias, oneLine(q))); err != nil {
				return nil, err
			}
		}
		return answers, nil
	}
	return ssh.RetryableAuthMethod(ssh.KeyboardInteractive(challenge), tries)
}

// isPasswordQuestion tells a question for the password from others: OpenSSH's
// PAM asks "Password: ".
func isPasswordQuestion(q string, echo bool) bool {
	return !echo && strings.Contains(strings.ToLower(q), "password")
}

// passwords returns a source of passwords for one method: the one that is
// configured, which is the only one then, or the one that worked before, and
// after it the user.
func (a *attempt) passwords() func(question string) (string, error) {
	asked := 0
	return func(question string) (string, error) {
		asked++
		if a.keys != nil && a.keys.insecure {
			return "", errHostNotSure
		}
		a.refused = a.refused || asked > 1 && a.sent != ""
		p, err := a.nextPassword(question, asked == 1)
		if err == nil {
			a.sent = p
		}
		return p, err
	}
}

func (a *attempt) nextPassword(question string, first bool) (string, error) {
	if source := a.hop.cfg.Password; source != nil {
		if !first {
			return "", errNoMoreAnswers
		}
		defer a.guard.pause()()
		return source(a.ctx)
	}
	if p := a.hop.remembered(); p != "" && first {
		return p, nil
	}
	return a.ask(question)
}
