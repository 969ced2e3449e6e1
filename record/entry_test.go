package record_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
)

func entry(lsn record.LSN, r record.Record) record.Entry {
	b := encoded(r)
	return record.Entry{LSN: lsn, Term: 3, Sum: record.Sum(b), Bytes: b}
}

func TestEntriesFollowOneAnother(t *testing.T) {
	var b []byte
	var sent []record.Entry
	for i, c := range records() {
		sent = append(sent, entry(record.LSN(i+1), c.record))
		b = record.AppendEntry(b, sent[i])
	}
	for _, want := range sent {
		var got record.Entry
		var err error
		got, b, err = record.NextEntry(b)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.Empty(t, b)
}

func TestEntryDecodesItsRecord(t *testing.T) {
	r, err := entry(1, usual()).Record()
	require.NoError(t, err)
	require.Equal(t, usual(), r)
	_, err = record.Entry{Bytes: []byte{0xc0}}.Record()
	require.ErrorIs(t, err, pack.ErrMalformed)
}

func TestNextEntryRefusesOneThatIsCut(t *testing.T) {
	b := record.AppendEntry(nil, entry(1, usual()))
	for n := range b {
		_, rest, err := record.NextEntry(b[:n])
		require.ErrorIs(t, err, record.ErrInvalid, "%d of %d bytes", n, len(b))
		require.Nil(t, rest)
	}
}

func TestNextEntryRefusesARecordThatDoesNotMatchItsSum(t *testing.T) {
	b := record.AppendEntry(nil, entry(1, usual()))
	for i := 20; i < len(b); i++ { // from the sum on
		for bit := range 8 {
			b[i] ^= 1 << bit
			_, _, err := record.NextEntry(b)
			require.ErrorIs(t, err, record.ErrSum, "byte %d, bit %d", i, bit)
			b[i] ^= 1 << bit
		}
	}
}

func TestNextEntryRefusesALengthThatIsNotTrue(t *testing.T) {
	b := record.AppendEntry(nil, entry(1, usual()))
	true32 := binary.LittleEndian.Uint32(b[16:])
	for _, n := range []uint32{0, 1, true32 - 1} {
		binary.LittleEndian.PutUint32(b[16:], n)
		_, _, err := record.NextEntry(b)
		require.ErrorIs(t, err, record.ErrSum, "%d", n)
	}
	for _, n := range []uint32{true32 + 1, record.RecordBytesMax, record.RecordBytesMax + 1, 1 << 31, 1<<32 - 1} {
		binary.LittleEndian.PutUint32(b[16:], n)
		_, _, err := record.NextEntry(b)
		require.ErrorIs(t, err, record.ErrInvalid, "%d", n)
	}
}

func TestNextEntryRefusesMoreThanARecordMayHaveEvenIfItIsThere(t *testing.T) {
	b := record.AppendEntry(nil, record.Entry{Bytes: make([]byte, record.RecordBytesMax+1)})
	_, _, err := record.NextEntry(b)
	require.ErrorIs(t, err, record.ErrInvalid)
}

func TestNextEntryAllocatesNothing(t *testing.T) {
	b := record.AppendEntry(nil, entry(1, usual()))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, _, err := record.NextEntry(b); err != nil {
			panic(err)
		}
	}))
}

func TestEntryBytesHaveNoRoomToGrow(t *testing.T) {
	b := record.AppendEntry(record.AppendEntry(nil, entry(1, usual())), entry(2, usual()))
	e, _, err := record.NextEntry(b)
	require.NoError(t, err)
	require.Equal(t, len(e.Bytes), cap(e.Bytes))
}

func BenchmarkNextEntry(b *testing.B) {
	buf := record.AppendEntry(nil, entry(1, usual()))
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := record.NextEntry(buf); err != nil {
			b.Fatal(err)
		}
	}
}
