package world

import (
	"cmp"
	"context"
	"errors"
	"strconv"

	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// redis is the door of a Redis client to one node: a connection of its visitor, as such
// clients have, and a command for each thing.
type redis struct {
	v  *Visitor
	at *Node
}

// keyOf is the name of a key of a table on the port: that of the table is a prefix.
func keyOf(at Cell) []byte { return append([]byte(prefixOf(at.Table)), at.Key...) }

// prefixOf leads to a table.
func prefixOf(table string) string { return table + "/" }

// ask has the visitor's connection say commands, each of them answered; a failed one is
// not used again.
func (d redis) ask(ctx context.Context, op string, writes bool, commands ...[][]byte) ([]resp.Answer, error) {
	fail := func(o topology.Outcome, err error) error {
		return &topology.Error{Op: op, Node: topology.NodeID(d.at.ID), Outcome: o, Err: errors.Join(topology.ErrUnavailable, err)}
	}
	w, err := d.v.wire(ctx, d.at)
	if err != nil {
		return nil, fail(topology.NotApplied, err)
	}
	for _, words := range commands {
		w.add(words...)
	}
	as, err := w.do(ctx, len(commands))
	if err != nil {
		d.v.drop(d.at)
		if writes && errors.Is(err, errSent) {
			return nil, fail(topology.Unknown, err)
		}
		return nil, fail(topology.NotApplied, err)
	}
	for _, a := range as {
		if err := faultOf(a, op); err != nil {
			return as, err
		}
	}
	return as, nil
}

func words(ws ...string) (bs [][]byte) {
	for _, w := range ws {
		bs = append(bs, []byte(w))
	}
	return bs
}

// level is what a connection is told to read by.
func (w Want) level() string { return cmp.Or(string(w.Level), "default") }

// level is what has the connection read as is wanted, before a command.
func (d redis) level(w Want) (commands [][][]byte) {
	level := w.level()
	if conn := d.v.wires[d.at.ID]; conn == nil || conn.read != level {
		commands = append(commands, words("TRIAD", "READ", level))
	}
	if w.Level == scenario.LevelSession && !w.After.IsZero() {
		commands = append(commands, words("TRIAD", "TOKEN", w.After.String()))
	}
	return commands
}

func (d redis) Read(ctx context.Context, at Cell, w Want) (h Held, err error) {
	name := map[record.Kind]string{record.KindSet: "SMEMBERS"}[at.Kind]
	if name == "" {
		name = "GET"
	}
	as, err := d.ask(ctx, "get", false, append(d.level(w), [][]byte{[]byte(name), keyOf(at)})...)
	if err != nil {
		return h, err
	}
	if conn := d.v.wires[d.at.ID]; conn != nil {
		conn.read = w.level()
	}
	a := as[len(as)-1]
	switch {
	case at.Kind == record.KindSet:
		for _, p := range a.Parts {
			h.Words = append(h.Words, string(p.Text))
		}
	case a.Null:
	case at.Kind == record.KindCounter:
		h.Number, err = strconv.ParseInt(string(a.Text), 10, 64)
	default:
		h.Values = [][]byte{a.Text}
	}
	return h, err
}

// errNoScan is why this door shows no range: SCAN is in no order that begins at a key.
var errNoScan = errors.New("the port for Redis clients has no scan from a key on")

func (d redis) Scan(context.Context, Cell, int, Want) error { return refuse("scan", errNoScan) }

// Write does changes in one pipeline, which is one commit.
func (d redis) Write(ctx context.Context, cs ...Change) (r topology.Receipt, err error) {
	var commands [][][]byte
	for _, c := range cs {
		commands = append(commands, commandOf(c))
	}
	token := d.v.w.o.Variant.Read == scenario.LevelSession
	if token {
		commands = append(commands, words("TRIAD", "TOKEN"))
	}
	as, err := d.ask(ctx, "put", true, commands...)
	if err != nil {
		for _, a := range as {
			if a.Fault == "" {
				return r, partly(1, err) // a pipeline is no transaction
			}
		}
		return r, err
	}
	if token {
		r.Token, err = topology.ParseToken(string(as[len(as)-1].Text))
	}
	return r, err
}

func commandOf(c Change) [][]byte {
	key := keyOf(c.Cell)
	switch {
	case c.Kind == record.KindCounter:
		return [][]byte{[]byte("INCRBY"), key, strconv.AppendInt(nil, c.By, 10)}
	case c.Kind == record.KindSet && c.Out:
		return [][]byte{[]byte("SREM"), key, []byte(c.Word)}
	case c.Kind == record.KindSet:
		return [][]byte{[]byte("SADD"), key, []byte(c.Word)}
	}
	return [][]byte{[]byte("SET"), key, c.Value}
}

// Update reads and then writes: the port's transactions want one order of all writes, and
// where that is there is a command for what the load does.
func (d redis) Update(ctx context.Context, at []Cell, decide Decide) (topology.Receipt, error) {
	return readAndWrite(ctx, d, at, Want{}, decide, func(_ int, c Change, _ Held) (topology.Receipt, error) { return d.Write(ctx, c) })
}
