package crdt_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/crdt/crdttest"
)

// The executable specifications: what a value is, from all that was done and who
// had seen what. They know nothing of dots, deltas or joins.

type events = []*crdttest.Event

// standing returns the events of done that one of adds, and that none of removes
// has seen.
func standing(done events, adds, removes string) events {
	var out events
	for _, e := range done {
		if !strings.Contains(adds, e.What) || e.What == "" {
			continue
		}
		if !slices.ContainsFunc(done, func(f *crdttest.Event) bool { return strings.Contains(removes, f.What) && f.Saw(e) }) {
			out = append(out, e)
		}
	}
	return out
}

// with returns the events whose argument is text, and those that name none.
func with(done events, text string) events {
	return slices.DeleteFunc(slices.Clone(done), func(e *crdttest.Event) bool { return e.Text != text && e.What != "clear" })
}

func texts(done events) []string {
	var out []string
	for _, e := range done {
		if !slices.Contains(out, e.Text) {
			out = append(out, e.Text)
		}
	}
	slices.Sort(out)
	return out
}

// specCount: what was counted and no reset had seen.
func specCount(done events) string {
	var n int64
	for _, e := range standing(done, "add", "reset") {
		n += e.N
	}
	return fmt.Sprint(n)
}

// specFlag: somebody enabled, and nobody disabled having seen that.
func specFlag(done events) string {
	return fmt.Sprint(len(standing(done, "enable", "disable")) > 0)
}

// specRegister: what was set and no later set or clear had seen.
func specRegister(done events) string {
	var out []string
	for _, e := range standing(done, "set", "set clear") {
		out = append(out, e.Text)
	}
	slices.Sort(out)
	return fmt.Sprintf("%q", out)
}

// specSet: elements of which an add was seen by no remove of them.
func specSet(done events) string {
	out := []string{}
	for _, text := range texts(done) {
		if len(standing(with(done, text), "add", "remove clear")) > 0 {
			out = append(out, text)
		}
	}
	return fmt.Sprintf("%q", out)
}

// last returns the latest event, nil if there is none.
func last(done events) *crdttest.Event {
	var out *crdttest.Event
	for _, e := range done {
		if out == nil || e.Stamp.Compare(out.Stamp) > 0 {
			out = e
		}
	}
	return out
}

func specLast(done events) string {
	if e := last(done); e != nil && e.What == "set" {
		return fmt.Sprint(e.N)
	}
	return "none"
}

func specLastMap(done events) string {
	var out []string
	for _, key := range texts(done) {
		if v := specLast(with(done, key)); v != "none" {
			out = append(out, key+"="+v)
		}
	}
	return strings.Join(out, " ")
}

func specExtreme(pick func(a, b int64) int64) func(events) string {
	return func(done events) string {
		if len(done) == 0 {
			return "none"
		}
		n := done[0].N
		for _, e := range done {
			n = pick(n, e.N)
		}
		return fmt.Sprint(n)
	}
}

func specDistinct(done events) string { return fmt.Sprint(len(texts(done))) }

// removal is what the removal of a field is to the field itself.
var removal = map[crdt.Kind]string{crdt.KindFlag: "disable", crdt.KindRegister: "clear", crdt.KindCounter: "reset", crdt.KindSet: "clear", crdt.KindMap: "clear"}

var specOf = map[crdt.Kind]func(events) string{crdt.KindFlag: specFlag, crdt.KindRegister: specRegister, crdt.KindCounter: specCount, crdt.KindSet: specSet}

var emptyOf = map[crdt.Kind]string{crdt.KindFlag: "false", crdt.KindRegister: "[]", crdt.KindCounter: "0", crdt.KindSet: "[]", crdt.KindMap: "{}"}

// specMap: each field by its own specification, over what was done in it; to it the
// removal of the field, and of all that it lies in, is the removal of what it has.
func specMap(done events) string {
	var out []string
	for _, f := range mapFields {
		var inside events
		changed := false
		for _, e := range done {
			if g := e.Inside(f, removal[f.Kind]); g != nil {
				inside = append(inside, g)
				changed = changed || len(e.Path) > 0
			}
		}
		v := ""
		switch {
		case !changed:
			continue
		case f.Kind == crdt.KindMap:
			v = specMap(inside)
		default:
			v = specOf[f.Kind](inside)
		}
		if v != emptyOf[f.Kind] || f.Kind == crdt.KindCounter && len(standing(inside, "add", "reset")) > 0 {
			out = append(out, fmt.Sprintf("%d%s=%s", f.Kind, f.Name, v))
		}
	}
	return "{" + strings.Join(out, " ") + "}"
}
