package server

import (
	"context"
	"time"

	"github.com/triad-kv/triad/topology"
)

// What Triad knows beyond Redis, for each connection.
var sessionCommands = []command{
	{name: "triad", arity: -2, flags: family, group: "triad", about: "Chooses guarantees for the connection.", answer: answerFamily},
	{name: "triad|durability", arity: -2, flags: cuts | alone, group: "triad", about: "Says when writes are answered: received, flushed, applied or default.", answer: answerDurability},
	{name: "triad|read", arity: -2, flags: cuts | alone, group: "triad", about: "Says what reads must see: default, linearizable, leased, session, any or stale DURATION.", answer: answerReads},
	{name: "triad|token", arity: -2, flags: cuts | alone, group: "triad", about: "Returns what the session has seen, or takes it over from another.", answer: answerToken},
	{name: "triad|help", arity: 2, flags: 0, group: "triad", about: "Lists what TRIAD knows.", answer: answerFamilyHelp},
}

func answerDurability(_ context.Context, c *conn, r *request) error {
	switch {
	case len(r.args) == 2:
		r.out.BulkString(c.session.durability.String())
		return nil
	case len(r.args) > 3:
		return errSyntax
	case equalFold(r.args[2], "DEFAULT"):
		c.session.durability = topology.DurabilityDefault
	default:
		var word [nameBytesMax]byte
		n := lower(word[:], r.args[2])
		d, err := topology.ParseDurability(string(word[:n]))
		if err != nil {
			return replyError("ERR TRIAD DURABILITY is one of received, flushed, applied, default")
		}
		c.session.durability = d
	}
	r.out.OK()
	return nil
}

func answerReads(_ context.Context, c *conn, r *request) error {
	if len(r.args) == 2 {
		o := c.session.reads
		if o.Guarantee == topology.ReadBounded {
			r.out.BulkString("stale " + o.MaxStale.String())
		} else {
			r.out.BulkString(o.Guarantee.String())
		}
		return nil
	}
	var o topology.ReadOptions
	word, rest := r.args[2], r.args[3:]
	switch {
	case equalFold(word, "DEFAULT") && len(rest) == 0:
	case equalFold(word, "LINEARIZABLE") && len(rest) == 0:
		o.Guarantee = topology.ReadLinearizable
	case equalFold(word, "LEASED") && len(rest) == 0:
		o.Guarantee = topology.ReadLeased
	case equalFold(word, "SESSION") && len(rest) == 0:
		o.Guarantee = topology.ReadSession
	case equalFold(word, "ANY") && len(rest) == 0:
		o.Guarantee = topology.ReadAny
	case equalFold(word, "STALE") && len(rest) == 1:
		d, err := time.ParseDuration(string(rest[0]))
		if err != nil || d <= 0 {
			return replyError("ERR TRIAD READ STALE takes a duration such as 5s or 100ms")
		}
		o.Guarantee, o.MaxStale = topology.ReadBounded, d
	default:
		return replyError("ERR TRIAD READ is one of default, linearizable, leased, session, any, stale DURATION")
	}
	c.session.reads = o
	r.out.OK()
	return nil
}

func answerToken(_ context.Context, c *conn, r *request) error {
	switch len(r.args) {
	case 2:
		r.out.BulkString(c.session.token.String())
		return nil
	case 3:
	default:
		return errSyntax
	}
	t, err := topology.ParseToken(string(cut(r.args[2], topology.VectorTokenBytesMax+1)))
	if err != nil {
		return err
	}
	c.seen(topology.Receipt{Token: t}, false)
	r.out.OK()
	return nil
}
