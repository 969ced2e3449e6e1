package triad

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Slot is a durable position of a watch, kept in the log with the data. Every node
// leaves what comes after it in its log, up to the slot's budget of bytes; beyond
// that the leader drops the slot, and its next consumer is told when and where.
type Slot = call.Slot

// SlotsMax is how many slots a cluster may have.
const SlotsMax = call.SlotsMax

// A slot is a value of the system table. Its key is "slot/" and the name; the row
// is call.Slot's.
const (
	slotKeyPrefix = "slot/"
	slotKeyEnd    = "slot0" // what follows the keys with the prefix
)

const slotAttemptsMax = 8 // of one change, while others change the slot

func slotKey(name string) []byte { return []byte(slotKeyPrefix + name) }

// Slots are the slots of a cluster, as a node sees them.
type Slots struct{ k *slotKeeper }

// Slots returns the cluster's slots.
func (n *Node) Slots() Slots { return Slots{n.catalogue.slots} }

// List returns all slots, by name. Options: those of [Node.Get].
func (s Slots) List(ctx context.Context, opts ...Option) ([]Slot, error) {
	all, err := s.list(ctx, opts)
	if err != nil {
		return nil, s.k.errorOf("slots", "", nil, err)
	}
	return all, nil
}

func (s Slots) list(ctx context.Context, opts []Option) ([]Slot, error) {
	w, err := call.Gather(opts, call.WishRead)
	if err == nil {
		err = s.k.gate.enter(ctx)
	}
	if err != nil {
		return nil, notApplied(err)
	}
	defer s.k.gate.leave()
	o, err := inner{s.k.Node}.readOptions(ctx, &w)
	if err != nil {
		return nil, notApplied(err)
	}
	return s.k.list(ctx, o)
}

// Drop removes a slot, also one that was dropped for its budget: its name is free
// again. What is not there is topology.ErrNotFound.
func (s Slots) Drop(ctx context.Context, name string) error {
	err := s.k.gate.enter(ctx)
	if err != nil {
		return s.k.errorOf("drop slot", "", nil, notApplied(err))
	}
	defer s.k.gate.leave()
	if _, err = s.k.atLeader(ctx, &call.SlotRequest{Op: call.SlotDrop, Name: name}); err != nil {
		return s.k.errorOf("drop slot", "", nil, err)
	}
	return nil
}

// list reads the rows.
func (k *slotKeeper) list(ctx context.Context, o topology.ReadOptions) (all []Slot, err error) {
	s, ok := k.engine.(topology.Scanner)
	if !ok {
		return nil, notApplied(fmt.Errorf("this topology reads no ranges: %w", topology.ErrUnsupported))
	}
	for c, err := range s.Scan(ctx, record.TableSystem, []byte(slotKeyPrefix), []byte(slotKeyEnd), o) {
		if err != nil {
			return nil, err
		}
		slot, err := call.DecodeSlot(strings.TrimPrefix(string(c.Key), slotKeyPrefix), c.Value)
		if err != nil {
			return nil, err
		}
		all = append(all, slot)
	}
	return all, nil
}

// atLeader changes a slot here if this node leads, and else at who does.
func (k *slotKeeper) atLeader(ctx context.Context, m *call.SlotRequest) (Slot, error) {
	s, err := k.change(ctx, m)
	var e *topology.Error
	if !errors.Is(err, topology.ErrNotLeader) || !errors.As(err, &e) || e.Leader == "" || e.Leader == k.config.ID {
		return s, err
	}
	answer, err := k.transport.Call(ctx, e.Leader, call.MethodSlot, m.Encode())
	if err != nil {
		return Slot{}, fmt.Errorf("the leader %s: %w", e.Leader, err)
	}
	all, err := call.DecodeSlots(answer)
	if err != nil || len(all) == 0 {
		return Slot{}, err
	}
	return all[0], nil
}

// change changes a slot at the leader: it reads the row, and writes it if nobody
// else has meanwhile.
func (k *slotKeeper) change(ctx context.Context, m *call.SlotRequest) (Slot, error) {
	if !validTable(m.Name) {
		return Slot{}, notApplied(fmt.Errorf("slot %q: not a name ([a-z][a-z0-9_.-]{0,63}): %w", m.Name, topology.ErrMalformed))
	}
	for range slotAttemptsMax {
		s, dot, err := k.row(ctx, m.Name)
		if err != nil {
			return Slot{}, notApplied(err)
		}
		if err := k.decide(ctx, &s, m, dot.Seq != 0); err != nil {
			return Slot{}, notApplied(fmt.Errorf("slot %s: %w", m.Name, err))
		}
		if err = k.write(ctx, &s, dot, m.Op == call.SlotDrop); !errors.Is(err, topology.ErrConditionFailed) {
			return s, err
		}
	}
	return Slot{}, notApplied(fmt.Errorf("slot %s: others changed it at the same time, %d times: %w", m.Name, slotAttemptsMax, topology.ErrOverloaded))
}

// row returns a slot and the write that its row is from; the zero dot if it is
// not there.
func (k *slotKeeper) row(ctx context.Context, name string) (Slot, version.Dot, error) {
	v, err := k.catalogue.value(ctx, slotKey(name), topology.ReadDefault)
	if errors.Is(err, topology.ErrNotFound) {
		return Slot{Name: name}, version.Dot{}, nil
	}
	if err != nil {
		return Slot{}, version.Dot{}, err
	}
	s, err := call.DecodeSlot(name, v.Value)
	if err != nil {
		return Slot{}, version.Dot{}, fmt.Errorf("slot %s: %w", name, err)
	}
	return s, v.Dot, nil
}

func (k *slotKeeper) write(ctx context.Context, s *Slot, was version.Dot, drop bool) error {
	cell := record.Cell{Table: record.TableSystem, Key: slotKey(s.Name)}
	c := record.Condition{Cell: cell, Version: was}
	if was.Seq == 0 {
		c = record.Condition{Cell: cell, Absent: true}
	}
	m := removal(cell.Table, cell.Key)
	if !drop {
		m = record.Mutation{Table: cell.Table, Key: cell.Key, Op: record.OpPut, Kind: record.KindBytes, Value: s.Encode()}
	}
	_, err := k.engine.Write(ctx, record.Batch{Mutations: []record.Mutation{m}, Conditions: []record.Condition{c}},
		topology.WriteOptions{Durability: topology.Applied})
	return err
}

// decide changes s to what m asks for, or says why not.
func (k *slotKeeper) decide(ctx context.Context, s *Slot, m *call.SlotRequest, there bool) error {
	now := k.config.WallClock()
	switch m.Op {
	case call.SlotDrop:
		if !there {
			return topology.ErrNotFound
		}
		return nil
	case call.SlotAck:
		return ackSlot(s, m, there, now)
	}
	if !there {
		return k.make(ctx, s, m, now)
	}
	if s.Table != m.Table || !slices.Equal(s.Prefix, m.Prefix) {
		return fmt.Errorf("it follows %s/%q, not %s/%q: %w", s.Table, s.Prefix, m.Table, m.Prefix, topology.ErrConflict)
	}
	if err := goneSlot(s); err != nil {
		return err
	}
	s.Claim++
	s.Acked = now
	return nil
}

// make makes a slot, if there is room for one.
func (k *slotKeeper) make(ctx context.Context, s *Slot, m *call.SlotRequest, now time.Time) error {
	all, err := k.list(ctx, topology.ReadOptions{})
	if err != nil {
		return err
	}
	if len(all) >= SlotsMax {
		return fmt.Errorf("there are %d slots already: %w", len(all), topology.ErrTooLarge)
	}
	d, err := k.catalogue.lookup(ctx, m.Table, false)
	if err != nil {
		return err
	}
	*s = Slot{
		Name: m.Name, Table: m.Table, ID: d.id, Prefix: m.Prefix, Token: m.Token, Synced: m.Synced,
		Bytes: m.Bytes, Claim: 1, Acked: now,
	}
	if s.Bytes == 0 {
		s.Bytes = call.SlotBytesLeft
	}
	return nil
}

// ackSlot moves a slot on, for the consumer that has it.
func ackSlot(s *Slot, m *call.SlotRequest, there bool, now time.Time) error {
	switch {
	case !there:
		return fmt.Errorf("it was dropped: %w", topology.ErrNotFound)
	case s.Claim != m.Claim:
		return fmt.Errorf("another consumer has taken it over: %w", topology.ErrConflict)
	}
	if err := goneSlot(s); err != nil {
		return err
	}
	if m.Token.LSN > s.Token.LSN {
		s.Token = m.Token
	}
	s.Synced, s.Acked = s.Synced || m.Synced, now
	return nil
}

// goneSlot is what a consumer is told of a slot that was dropped for its budget.
func goneSlot(s *Slot) error {
	if s.Dropped.IsZero() {
		return nil
	}
	return fmt.Errorf("it stood at entry %d and was dropped at %s, when the log had come to entry %d and held more than %d bytes for it: %w",
		s.Token.LSN, s.Dropped.UTC().Format(time.RFC3339), s.DroppedAt, s.Bytes, topology.ErrCompacted)
}

// open takes a slot over for a new consumer, and makes it if it is not there:
// where o says, or at what this node shows now. That is before the view that a
// watch from the state then opens.
func (k *slotKeeper) open(ctx context.Context, w topology.Watcher, table string, o *WatchOptions) (Slot, error) {
	m := call.SlotRequest{Op: call.SlotOpen, Name: o.Slot, Table: table, Prefix: o.Prefix, Token: o.From, Synced: !o.State, Bytes: o.SlotBytes}
	if waiter, ok := k.engine.(topology.Waiter); ok && !m.Token.IsZero() {
		if err := waiter.Wait(ctx, m.Token); err != nil {
			return Slot{}, err
		}
	}
	if m.Token.IsZero() {
		here := topology.WatchOptions{Ranges: []topology.PrefixRange{{Table: record.TableSystem, Prefix: []byte(slotKeyPrefix)}}}
		for c, err := range w.Watch(ctx, here) {
			if err != nil {
				return Slot{}, err
			}
			m.Token = c.Token
			break
		}
	}
	return k.atLeader(ctx, &m)
}
