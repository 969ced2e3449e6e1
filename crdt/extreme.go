package crdt

// Max is the greatest number that was observed. The zero Max has observed none.
type Max struct{ most extreme }

// Min is the least number that was observed. The zero Min has observed none.
type Min struct{ least extreme } // of the numbers' complements, whose order is the other way round

// extreme is the greatest of some numbers, if there are any.
type extreme struct {
	n    int64
	some bool
}

func (e extreme) join(f extreme) extreme {
	if f.some && (!e.some || f.n > e.n) {
		return f
	}
	return e
}

// Observe takes n in, and returns the delta.
func (m *Max) Observe(n int64) *Max {
	delta := &Max{extreme{n, true}}
	m.Join(delta)
	return delta
}

// Value returns the greatest number, and whether there is one.
func (m *Max) Value() (int64, bool) { return m.most.n, m.most.some }

// Join takes in what other has observed.
func (m *Max) Join(other *Max) { m.most = m.most.join(other.most) }

// Clone returns a copy.
func (m *Max) Clone() *Max { return &Max{m.most} }

// AppendBinary appends the encoding of m.
func (m *Max) AppendBinary(dst []byte) ([]byte, error) {
	return appendExtreme(dst, formMax, m.most.n, m.most.some)
}

// UnmarshalBinary decodes a maximum. Errors wrap [pack.ErrMalformed].
func (m *Max) UnmarshalBinary(b []byte) error {
	e, err := readExtreme(b, formMax, "Max")
	if err == nil {
		m.most = e
	}
	return err
}

// Observe takes n in, and returns the delta.
func (m *Min) Observe(n int64) *Min {
	delta := &Min{extreme{^n, true}}
	m.Join(delta)
	return delta
}

// Value returns the least number, and whether there is one.
func (m *Min) Value() (int64, bool) {
	if !m.least.some {
		return 0, false
	}
	return ^m.least.n, true
}

// Join takes in what other has observed.
func (m *Min) Join(other *Min) { m.least = m.least.join(other.least) }

// Clone returns a copy.
func (m *Min) Clone() *Min { return &Min{m.least} }

// AppendBinary appends the encoding of m.
func (m *Min) AppendBinary(dst []byte) ([]byte, error) {
	n, some := m.Value()
	return appendExtreme(dst, formMin, n, some)
}

// UnmarshalBinary decodes a minimum. Errors wrap [pack.ErrMalformed].
func (m *Min) UnmarshalBinary(b []byte) error {
	e, err := readExtreme(b, formMin, "Min")
	if err == nil && e.some {
		e.n = ^e.n
	}
	if err == nil {
		m.least = e
	}
	return err
}

func appendExtreme(dst []byte, form uint64, n int64, some bool) ([]byte, error) {
	w := write(dst, form, 2)
	if some {
		w.Int(n)
	} else {
		w.Nil()
	}
	return w.Bytes(), nil
}

func readExtreme(b []byte, form uint64, what string) (extreme, error) {
	r := open(b, form, 2)
	var e extreme
	if !r.Nil() {
		e = extreme{r.Int(), true}
	}
	return e, finish(r, what)
}
