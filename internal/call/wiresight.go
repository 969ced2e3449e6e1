package call

// MethodSight is a read that says what was seen where nothing was found:
// Read → Sight.
const MethodSight = "client.sight"

// Sight is the answer to a read of a key that may hold nothing: fields found and a
// Reading, which without a value still says what state it is from.
type Sight struct {
	Found bool
	Reading
}

// Encode returns the answer's bytes.
func (m *Sight) Encode() []byte {
	w := begin(2)
	w.Bool(m.Found)
	w.Bin(m.Reading.Encode())
	return w.Bytes()
}

// DecodeSight reads an answer. The value aliases b, and is not nil.
func DecodeSight(b []byte) (Sight, error) {
	r, err := open(b, 2)
	if err != nil {
		return Sight{}, err
	}
	m := Sight{Found: r.Bool()}
	body := r.Bin()
	if err := done(&r); err != nil {
		return Sight{}, err
	}
	m.Reading, err = DecodeReading(body)
	return m, err
}
