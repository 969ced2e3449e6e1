package leaderless

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/merkle"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// methodRepair is what replicas ask one another to compare what they hold (rule L7).
//
//	question  array of 6: format, form, nodes (array of 3n: partition, level, index), from
//	          (array of 3: table, key, field), cells (array of 3n), mends (array of n bins)
//	answer    array of 9: format, votes, whole, sums (bin, 8 bytes each, little-endian),
//	          names (array of 4n: table, key, field, sum), copies (array of 2n bins: the
//	          state of the cell, and of the cell of its key without a field), sets (array of
//	          3n: partition, state whose context it is, collected), next (array of 0 or 3), count
const methodRepair = "leaderless.repair"

const (
	repairFormat   = 1
	questionFields = 6
	comparedFields = 9
)

// The forms of a question.
const (
	formSums   = 1 // the sums of nodes
	formNames  = 2 // the cells in the leaves that nodes are, from a cell on, with their sums
	formCopies = 3 // what is held of cells, and what had been applied by then
	formMend   = 4 // hold what mends say; count is how many were placed
	formReread = 5 // read again what is held; count is how many cells were
)

// Limits of a question and its answer.
const (
	nodesAskedMax  = 8192    // sums: 64 KiB of them
	leavesAskedMax = 8192    // leaves whose cells are asked for
	namesMax       = 8192    // cells named in an answer
	nameBytesMax   = 1 << 20 // of them
	namesReadMax   = 1 << 17 // cells looked at for an answer
	copiesMax      = 64      // cells asked for in full
	copyBytesMax   = 4 << 20 // of them, from which on no more are given
)

type question struct {
	form  uint64
	nodes []merkle.Node
	from  record.Cell
	cells []record.Cell
	mends []core.Mending
}

// named is a cell, and the sum of what it holds.
type named struct {
	cell record.Cell
	sum  uint64
}

type answer struct {
	votes  bool
	whole  bool // the sums are those of all that is held
	sums   []uint64
	names  []named
	copies []core.Copy
	sets   []applied
	next   *record.Cell // where the rest begins; nil: there is none
	count  uint64
}

// applied is what had been applied to a partition.
type applied struct {
	partition int
	set       version.Set
	collected version.Timestamp
}

func putCell(w *pack.Writer, c *record.Cell) {
	w.Uint(uint64(c.Table))
	w.Bin(c.Key)
	w.Bin(c.Field)
}

func getCell(r *pack.Reader) record.Cell {
	return record.Cell{Table: record.TableID(r.UintMax(math.MaxUint32)), Key: r.BinMax(record.KeyBytesMax + 1), Field: r.BinMax(record.FieldBytesMax + 1)}
}

func (q *question) encode(enc *record.Encoder) []byte {
	mends := make([][]byte, len(q.mends))
	for i := range q.mends {
		mends[i] = q.mends[i].Encode(enc)
	}
	w := pack.NewWriter(nil)
	w.Array(questionFields)
	w.Uint(repairFormat)
	w.Uint(q.form)
	w.Array(3 * len(q.nodes))
	for _, n := range q.nodes {
		w.Uint(uint64(n.Partition))
		w.Uint(uint64(n.Level))
		w.Uint(uint64(n.Index))
	}
	w.Array(3)
	putCell(w, &q.from)
	w.Array(3 * len(q.cells))
	for i := range q.cells {
		putCell(w, &q.cells[i])
	}
	w.Array(len(mends))
	for _, b := range mends {
		w.Bin(b)
	}
	return w.Bytes()
}

func decodeQuestion(b []byte) (q question, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(questionFields)
	if f := r.Uint(); r.Err() == nil && f != repairFormat {
		return q, fmt.Errorf("%w: a question about what is held has format %d, this version knows %d", topology.ErrUnsupported, f, repairFormat)
	}
	q.form = r.UintMax(formReread)
	for n := r.ArrayMax(3 * nodesAskedMax); n > 2 && r.Err() == nil; n -= 3 {
		q.nodes = append(q.nodes, merkle.Node{Partition: int(r.UintMax(PartitionsMax)), Level: int(r.UintMax(64)), Index: int(r.UintMax(math.MaxInt32))})
	}
	r.ArrayOf(3)
	q.from = getCell(&r)
	for n := r.ArrayMax(3 * copiesMax); n > 2 && r.Err() == nil; n -= 3 {
		q.cells = append(q.cells, getCell(&r))
	}
	for n := r.ArrayMax(copiesMax); n > 0 && r.Err() == nil; n-- {
		b := r.BinMax(math.MaxInt32)
		if r.Err() != nil {
			break
		}
		p, err := core.DecodeMending(b)
		if err != nil {
			return q, err
		}
		q.mends = append(q.mends, *p)
	}
	if err := r.Done(); err != nil {
		return q, fmt.Errorf("%w: a question about what is held: %w", topology.ErrMalformed, err)
	}
	return q, nil
}

func (a *answer) encode(enc *record.Encoder) []byte {
	states := make([][2][]byte, len(a.copies))
	for i := range a.copies {
		c := &a.copies[i]
		states[i] = [2][]byte{enc.AppendState(nil, &c.Held), enc.AppendState(nil, &c.Head)}
	}
	sets := make([][]byte, len(a.sets))
	for i := range a.sets {
		sets[i] = enc.AppendState(nil, &record.State{Context: &a.sets[i].set})
	}
	var sums []byte
	for _, s := range a.sums {
		sums = binary.LittleEndian.AppendUint64(sums, s)
	}
	w := pack.NewWriter(nil)
	w.Array(comparedFields)
	w.Uint(repairFormat)
	w.Bool(a.votes)
	w.Bool(a.whole)
	w.Bin(sums)
	w.Array(4 * len(a.names))
	for i := range a.names {
		putCell(w, &a.names[i].cell)
		w.Uint(a.names[i].sum)
	}
	w.Array(2 * len(states))
	for _, s := range states {
		w.Bin(s[0])
		w.Bin(s[1])
	}
	w.Array(3 * len(sets))
	for i := range sets {
		w.Uint(uint64(a.sets[i].partition))
		w.Bin(sets[i])
		w.Uint(uint64(a.sets[i].collected))
	}
	if a.next == nil {
		w.Array(0)
	} else {
		w.Array(3)
		putCell(w, a.next)
	}
	w.Uint(a.count)
	return w.Bytes()
}

func decodeAnswerOf(b []byte) (a answer, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(comparedFields)
	if f := r.Uint(); r.Err() == nil && f != repairFormat {
		return a, fmt.Errorf("%w: an answer about what is held has format %d, this version knows %d", topology.ErrUnsupported, f, repairFormat)
	}
	a.votes, a.whole = r.Bool(), r.Bool()
	sums := r.BinMax(8 * nodesAskedMax)
	if len(sums)%8 != 0 {
		r.Fail("sums are not whole")
	}
	for ; len(sums) >= 8; sums = sums[8:] {
		a.sums = append(a.sums, binary.LittleEndian.Uint64(sums))
	}
	for n := r.ArrayMax(4 * namesMax); n > 3 && r.Err() == nil; n -= 4 {
		a.names = append(a.names, named{getCell(&r), r.Uint()})
	}
	for n := r.ArrayMax(2 * copiesMax); n > 1 && r.Err() == nil; n -= 2 {
		var c core.Copy
		if err := states(&r, &c.Held, &c.Head); err != nil {
			return a, err
		}
		a.copies = append(a.copies, c)
	}
	for n := r.ArrayMax(3 * copiesMax); n > 2 && r.Err() == nil; n -= 3 {
		s := applied{partition: int(r.UintMax(PartitionsMax))}
		var st record.State
		if err := states(&r, &st); err != nil {
			return a, err
		}
		if st.Context != nil {
			s.set = *st.Context
		}
		s.collected = version.Timestamp(r.Uint())
		a.sets = append(a.sets, s)
	}
	if n := r.ArrayMax(3); n == 3 {
		c := getCell(&r)
		a.next = &c
	} else if n != 0 {
		r.Fail("where the rest begins is no cell")
	}
	a.count = r.Uint()
	if err := r.Done(); err != nil {
		return a, fmt.Errorf("%w: an answer about what is held: %w", topology.ErrMalformed, err)
	}
	return a, nil
}

// states reads encoded states; after a fault of r they are not to be used.
func states(r *pack.Reader, into ...*record.State) error {
	for _, s := range into {
		b := r.BinMax(math.MaxInt32)
		if r.Err() != nil {
			return nil
		}
		if err := record.DecodeState(b, s); err != nil {
			return fmt.Errorf("%w: an answer about what is held: %w", topology.ErrMalformed, err)
		}
	}
	return nil
}
