package crdt

import (
	"bytes"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// Stamp is when a write was made, and which one it is. Writes are ordered by time,
// then by origin, then by sequence (rule C4): never by who brought them, never by
// their values. The later one wins everywhere only if who writes has raised its
// clock over all it has read (rule C3): a [version.Clock] that observes them does.
type Stamp struct {
	Time version.Timestamp
	Dot  version.Dot
}

// Compare is the order in which the last writer wins.
func (s Stamp) Compare(t Stamp) int { return version.CompareWrites(s.Time, s.Dot, t.Time, t.Dot) }

// LWWRegister holds the value of the last writer, or that the last writer cleared
// it. The zero LWWRegister was never written.
type LWWRegister struct{ last lww }

// lww is one last write; of the zero Stamp if there was none.
type lww struct {
	at     Stamp
	absent bool
	value  []byte
}

// wins reports whether e is the later write than f. One stamp with two contents is
// two writes that took one name, which nobody should have made: the greater bytes
// win, so that holders agree at least.
func (e *lww) wins(f *lww) bool {
	if c := e.at.Compare(f.at); c != 0 {
		return c > 0
	}
	if e.absent != f.absent {
		return e.absent
	}
	return bytes.Compare(e.value, f.value) > 0
}

func (e *lww) isZero() bool { return e.at == Stamp{} }

// Set writes value at that stamp, and returns the delta. If what is there was
// written later it stays; the zero stamp writes nothing. The register keeps value,
// which is not to be changed.
func (r *LWWRegister) Set(at Stamp, value []byte) (*LWWRegister, error) {
	if err := checkValue(value); err != nil {
		return nil, err
	}
	return r.put(lww{at: at, value: value}), nil
}

// Clear writes at that stamp that there is no value, and returns the delta.
func (r *LWWRegister) Clear(at Stamp) *LWWRegister { return r.put(lww{at: at, absent: true}) }

func (r *LWWRegister) put(e lww) *LWWRegister {
	delta := &LWWRegister{e}
	if e.isZero() {
		return &LWWRegister{}
	}
	r.Join(delta)
	return delta
}

// Value returns the last writer's value, which is not to be changed, and whether
// there is one.
func (r *LWWRegister) Value() ([]byte, bool) {
	return r.last.value, !r.last.isZero() && !r.last.absent
}

// At returns when the register was last written or cleared; zero if it never was.
func (r *LWWRegister) At() Stamp { return r.last.at }

// Join takes in what other holds.
func (r *LWWRegister) Join(other *LWWRegister) {
	if other.last.wins(&r.last) {
		r.last = other.last
	}
}

// Clone returns a copy.
func (r *LWWRegister) Clone() *LWWRegister { return &LWWRegister{r.last} }

// AppendBinary appends the encoding of r.
func (r *LWWRegister) AppendBinary(dst []byte) ([]byte, error) {
	w := write(dst, formLWWRegister, 2)
	if r.last.isZero() {
		w.Nil()
	} else {
		w.Array(6)
		putLWW(w, &r.last)
	}
	return written(w, len(dst), 1)
}

// UnmarshalBinary decodes a register, whose value then aliases b. Errors wrap
// [pack.ErrMalformed].
func (r *LWWRegister) UnmarshalBinary(b []byte) error {
	rd := open(b, formLWWRegister, 2)
	var e lww
	if !rd.Nil() {
		rd.ArrayOf(6)
		e = getLWW(rd)
	}
	if err := finish(rd, "LWW-Register"); err != nil {
		return err
	}
	r.last = e
	return nil
}

func putLWW(w *pack.Writer, e *lww) {
	w.Uint(uint64(e.at.Time))
	putDot(w, e.at.Dot)
	w.Bool(e.absent)
	w.Bin(e.value)
}

func getLWW(r *pack.Reader) lww {
	e := lww{at: Stamp{version.Timestamp(r.Uint()), getDot(r)}, absent: r.Bool(), value: r.BinMax(BytesMax / 2)}
	switch {
	case r.Err() != nil:
	case e.isZero():
		r.Fail("a write that nobody made")
	case e.absent && len(e.value) > 0:
		r.Fail("a value where there is none")
	}
	return e
}
