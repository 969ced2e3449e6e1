package client

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Asker is whom a typed table asks: a [*Client], a [Reader], or a [*Session], which then
// sees what it has written and never an older state than before.
type Asker interface{ asks() asker }

// asker asks by a routing, and within a session if there is one.
type asker struct {
	r *router
	s *Session
}

func (c *Client) asks() asker { return asker{r: c.reads} }

func (r Reader) asks() asker { return asker{r: r.r} }

func (s *Session) asks() asker { return asker{r: s.r, s: s} }

// saw adds what was seen to the session.
func (a asker) saw(token topology.Token) {
	if a.s != nil {
		a.s.See(token)
	}
}

// change has the leader decide a change in the order of its log.
func (a asker) change(ctx context.Context, op string, m *call.Parts) (call.Changed, error) {
	w, err := call.Gather(m.Options, call.WishWrite)
	if err == nil {
		err = m.Check()
	}
	if err != nil {
		return call.Changed{}, errorOf(op, m.Table, m.Key, call.NotApplied(err))
	}
	answer, err := carrier{a.r.c}.send(ctx, call.MethodChange, &w, m.Options, func(opts []Option) []byte {
		m.Options = opts
		return m.Encode()
	})
	var told call.Changed
	if err == nil {
		told, err = call.DecodeChanged(answer)
	}
	if err != nil {
		return call.Changed{}, errorOf(op, m.Table, m.Key, err)
	}
	a.saw(told.Receipt.Token)
	return told, nil
}

// look reads as the routing says.
func (a asker) look(ctx context.Context, op string, m *call.Parts) (call.Shown, error) {
	if err := m.Check(); err != nil {
		return call.Shown{}, errorOf(op, m.Table, m.Key, call.NotApplied(err))
	}
	if a.s != nil {
		m.Options = a.s.with(m.Options)
	}
	shown, _, err := routed(ctx, a.r, call.MethodLook, m.Options, m.Encode, call.DecodeShown)
	if err != nil {
		return call.Shown{}, errorOf(op, m.Table, m.Key, err)
	}
	a.saw(shown.Token)
	return shown, nil
}

// namedTable is a table as those see it who give its values types. Its kind is given by who
// asks what of it: the first change defines it, if nobody has.
type namedTable struct {
	at   Asker
	name string
}

// Name returns the table's name.
func (t *namedTable) Name() string { return t.name }

// Delete removes a key and all it holds. Options: [Durability], [Request].
func (t *namedTable) Delete(ctx context.Context, key string, opts ...Option) (Receipt, error) {
	a := t.at.asks()
	r, err := a.r.c.Delete(ctx, t.name, []byte(key), opts...)
	if err == nil {
		a.saw(r.Token)
	}
	return r, err
}

func (t *namedTable) change(ctx context.Context, op string, o call.PartsOp, key string, parts [][]byte, by int64, opts []Option) (call.Changed, error) {
	return t.at.asks().change(ctx, op, &call.Parts{Op: o, Table: t.name, Key: []byte(key), Parts: parts, By: by, Options: opts})
}

func (t *namedTable) look(ctx context.Context, op string, o call.PartsOp, key string, parts [][]byte, opts []Option) (call.Shown, error) {
	return t.at.asks().look(ctx, op, &call.Parts{Op: o, Table: t.name, Key: []byte(key), Parts: parts, Options: opts})
}

// malformed is an error of a value that is none of the table's type.
func (t *namedTable) malformed(op, key string, err error) error {
	return errorOf(op, t.name, []byte(key), call.NotApplied(err))
}

// short reports an answer that does not hold what it has to.
func (t *namedTable) short(op, key string) error {
	return t.malformed(op, key, topology.ErrMalformed)
}

// RequestID names a write, see [Request] and [Client.ResolveRequest].
type RequestID = record.RequestID
