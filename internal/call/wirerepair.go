package call

import (
	"math"

	"github.com/triad-kv/triad/topology"
)

const (
	// MethodRepair has a node compare what replicas hold, and mend it: RepairAsked → Repaired.
	MethodRepair = "client.repair"
	// MethodKept asks a node why it keeps deletes: nothing → topology.Collection.
	MethodKept = "client.collection"
)

const (
	repairAskedFields = 5
	repairedFields    = 9
	collectionFields  = 3
	holdingFields     = 5

	repairedBytesMax = 16 << 20 // of what was found, encoded
)

// RepairAsked says what is to be repaired: fields tables, from, part (-1 for none), check, reread.
type RepairAsked struct {
	Tables []string // none: all
	From   topology.NodeID
	Part   int
	Check  bool
	Reread bool
}

// Encode returns the request's bytes.
func (a RepairAsked) Encode() []byte {
	w := begin(repairAskedFields)
	w.Array(len(a.Tables))
	for _, t := range a.Tables {
		w.Str(t)
	}
	w.Str(string(a.From))
	w.Int(int64(a.Part))
	w.Bool(a.Check)
	w.Bool(a.Reread)
	return w.Bytes()
}

// DecodeRepairAsked reads a request.
func DecodeRepairAsked(b []byte) (a RepairAsked, err error) {
	r, err := open(b, repairAskedFields)
	if err != nil {
		return a, err
	}
	for n := r.ArrayMax(verifyTablesMax); n > 0 && r.Err() == nil; n-- {
		a.Tables = append(a.Tables, r.StrMax(TableBytesMax))
	}
	a.From = topology.NodeID(r.StrMax(nameBytesMax))
	part := r.Int()
	if a.Part = int(part); part < -1 || part > math.MaxInt32 {
		r.Fail("a part that there can not be")
	}
	a.Check, a.Reread = r.Bool(), r.Bool()
	return a, done(&r)
}

// Repaired is what a repair found: fields parts, reread, corrected, leaves, differ, mended,
// unclear, bytes, and a Verification, encoded.
type Repaired struct {
	Verification
	Parts     int
	Reread    uint64
	Corrected int
	Leaves    int
	Differ    int
	Mended    int
	Unclear   int
	Bytes     uint64
}

// Encode returns the answer's bytes.
func (x *Repaired) Encode() []byte {
	w := begin(repairedFields)
	w.Uint(uint64(max(0, x.Parts)))
	w.Uint(x.Reread)
	for _, n := range []int{x.Corrected, x.Leaves, x.Differ, x.Mended, x.Unclear} {
		w.Uint(uint64(max(0, n)))
	}
	w.Uint(x.Bytes)
	w.Bin(x.Verification.Encode())
	return w.Bytes()
}

// DecodeRepaired reads an answer.
func DecodeRepaired(b []byte) (x Repaired, err error) {
	r, err := open(b, repairedFields)
	if err != nil {
		return x, err
	}
	x.Parts, x.Reread = int(r.UintMax(math.MaxInt32)), r.Uint()
	for _, n := range []*int{&x.Corrected, &x.Leaves, &x.Differ, &x.Mended, &x.Unclear} {
		*n = int(r.UintMax(math.MaxInt32))
	}
	x.Bytes = r.Uint()
	found := r.BinMax(repairedBytesMax)
	if err := done(&r); err != nil {
		return x, err
	}
	x.Verification, err = DecodeVerification(found)
	return x, err
}

// EncodeCollection returns the bytes of what a node keeps of deletes: kept, collected, and
// holds as an array of 5n: node, partitions, writes, silent, why.
func EncodeCollection(c *topology.Collection) []byte {
	w := begin(collectionFields)
	w.Uint(c.Kept)
	w.Uint(c.Collected)
	w.Array(holdingFields * len(c.Holds))
	for i := range c.Holds {
		h := &c.Holds[i]
		w.Str(string(h.Node))
		w.Uint(uint64(max(0, h.Partitions)))
		w.Uint(h.Writes)
		w.Uint(uint64(max(0, h.Silent)))
		w.Str(text(h.Why))
	}
	return w.Bytes()
}

// DecodeCollection reads them.
func DecodeCollection(b []byte) (c topology.Collection, err error) {
	r, err := open(b, collectionFields)
	if err != nil {
		return c, err
	}
	c.Kept, c.Collected = r.Uint(), r.Uint()
	n := r.ArrayMax(holdingFields * verifyPeersMax)
	if n%holdingFields != 0 {
		r.Fail("what is held back is not whole")
	}
	for n /= holdingFields; n > 0 && r.Err() == nil; n-- {
		c.Holds = append(c.Holds, topology.Holding{
			Node: topology.NodeID(r.StrMax(nameBytesMax)), Partitions: int(r.UintMax(math.MaxInt32)), Writes: r.Uint(),
			Silent: int(r.UintMax(math.MaxInt32)), Why: r.StrMax(textBytesMax),
		})
	}
	return c, done(&r)
}
