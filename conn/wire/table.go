package wire

// callTable holds the calls that were issued and are not answered, by id and
// in order of issue. Guarded by Session.mu.
type callTable struct {
	byID        map[uint32]pending
	first, last pending
	bytes       int64 // sum of the costs
}

func (t *callTable) add(p pending) {
	f := p.flight()
	t.byID[f.id] = p
	t.bytes += f.cost
	f.prev = t.last
	if t.last == nil {
		t.first = p
	} else {
		t.last.flight().next = p
	}
	t.last = p
}

// remove takes out the call with an id, nil if there is none.
func (t *callTable) remove(id uint32) pending {
	p := t.byID[id]
	if p == nil {
		return nil
	}
	delete(t.byID, id)
	f := p.flight()
	t.bytes -= f.cost
	if f.prev == nil {
		t.first = f.next
	} else {
		f.prev.flight().next = f.next
	}
	if f.next == nil {
		t.last = f.prev
	} else {
		f.next.flight().prev = f.prev
	}
	f.prev, f.next = nil, nil
	return p
}

// clear takes out all calls, in order of issue.
func (t *callTable) clear() []pending {
	all := make([]pending, 0, len(t.byID))
	for p := t.first; p != nil; p = p.flight().next {
		all = append(all, p)
	}
	for _, p := range all {
		t.remove(p.flight().id)
	}
	return all
}
