package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Session reads what it has written, and never sees an older state than it has seen
// before, whichever nodes answer it. It may be used from any goroutine; what one
// call has seen holds for those that begin after it has returned.
type Session struct {
	r *router

	mu   sync.Mutex // guards seen; a leaf
	seen topology.Token
}

// Session returns a session that has seen nothing, and routes its reads by r.
func (c *Client) Session(r Routing) (*Session, error) {
	made, err := newRouter(c, r)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &Session{r: made}, nil
}

// Token returns what the session has seen.
func (s *Session) Token() topology.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// MarshalBinary returns what the session has seen as bytes, printable and at most
// topology.VectorTokenBytesMax of them: another session goes on from there.
func (s *Session) MarshalBinary() ([]byte, error) { return []byte(s.Token().String()), nil }

// UnmarshalBinary adds what another session has seen to what this one has. What
// MarshalBinary did not return is topology.ErrMalformed, and changes nothing.
func (s *Session) UnmarshalBinary(b []byte) error {
	t, err := topology.ParseToken(string(b))
	if err != nil {
		return fmt.Errorf("client: session: %w", err)
	}
	s.See(t)
	return nil
}

// See adds what token has seen to what the session has: of a receipt, a reading or
// another session.
func (s *Session) See(token topology.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = s.seen.Join(token)
}

// Forget empties the session: after topology.ErrRewound, which says that what it has
// seen is no longer part of the log.
func (s *Session) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = topology.Token{}
}

// Put is [Client.Put].
func (s *Session) Put(ctx context.Context, table string, key, value []byte, opts ...Option) (Receipt, error) {
	return s.wrote(s.r.c.Put(ctx, table, key, value, opts...))
}

// Delete is [Client.Delete].
func (s *Session) Delete(ctx context.Context, table string, key []byte, opts ...Option) (Receipt, error) {
	return s.wrote(s.r.c.Delete(ctx, table, key, opts...))
}

// Batch is [Client.Batch].
func (s *Session) Batch(ctx context.Context, b *Batch, opts ...Option) (Receipt, error) {
	return s.wrote(s.r.c.Batch(ctx, b, opts...))
}

func (s *Session) wrote(r Receipt, err error) (Receipt, error) {
	if err == nil {
		s.See(r.Token)
	}
	return r, err
}

// Get returns the value of key as a state shows it that is no older than what the
// session has seen. Options: [MaxStale], [MaxLag], [Linearizable], which are met
// too.
func (s *Session) Get(ctx context.Context, table string, key []byte, opts ...Option) (Reading, error) {
	err := call.CheckKey(key)
	if err != nil {
		return Reading{}, errorOf("get", table, key, call.NotApplied(err))
	}
	m := call.Read{Table: table, Key: key, Options: s.with(opts)}
	v, _, err := routed(ctx, s.r, call.MethodSight, m.Options, m.Encode, call.DecodeSight)
	if err == nil {
		s.See(v.Token)
		if !v.Found {
			err = call.NotApplied(topology.ErrNotFound)
		}
	}
	if err != nil {
		return Reading{}, errorOf("get", table, key, err)
	}
	return v.Reading, nil
}

// Scan is [Client.Scan], each of whose pages is no older than what the session has
// seen, nor than the page before. Options: those of [Session.Get].
func (s *Session) Scan(ctx context.Context, table string, from, to []byte, opts ...Option) iter.Seq2[Item, error] {
	return scan(table, from, to, func(m *call.Scan) (call.Page, error) {
		m.Options = s.with(opts)
		page, addr, err := routed(ctx, s.r, call.MethodScan, m.Options, m.Encode, call.DecodePage)
		if err != nil {
			return call.Page{}, err
		}
		return page, s.seenAt(ctx, addr, table)
	})
}

// seenAt adds what the node at addr shows by now, which is no older than a page that
// it has just sent.
func (s *Session) seenAt(ctx context.Context, addr, table string) error {
	m := call.Read{Table: table, Key: []byte{0}, Options: []Option{Any()}}
	answer, err := s.r.c.askAt(ctx, addr, call.MethodSight, m.Encode())
	var v call.Sight
	if err == nil {
		v, err = call.DecodeSight(answer)
	}
	if err != nil && !errors.Is(err, topology.ErrTimeout) {
		err = call.NotApplied(fmt.Errorf("what a page showed is not known: %w", err))
	}
	s.See(v.Token)
	return err
}

// with adds the session's token to the options of a read. Of a session that has
// seen nothing yet that is the zero token.
func (s *Session) with(opts []Option) []Option {
	return append(append(make([]Option, 0, len(opts)+1), opts...), After(s.Token()))
}
