package pack_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record/pack"
)

// requireSmall fails if f allocates more than a message that claims gigabytes
// may cost: an error and its text.
func requireSmall(t *testing.T, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10), "bytes allocated")
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// hostile holds the messages that end the process, or cost it gigabytes, in
// decoders that believe what is claimed.
var hostile = []struct {
	name string
	b    []byte
	why  string // of Walk
}{
	{"array32 of 4 G elements", unhex("dd ff ff ff ff 01"), "4294967295 elements claimed, 1 bytes left"},
	{"array32 of 4 G elements and none there", unhex("dd ff ff ff ff"), "4294967295 elements claimed, 0 bytes left"},
	{"array16 of 65535", unhex("dc ff ff 01"), "65535 elements claimed, 1 bytes left"},
	{"map32 of 4 G pairs", unhex("df ff ff ff ff 01 01"), "8589934590 elements claimed, 2 bytes left"},
	{"map32 of 2 G pairs, whose double does not fit 32 bits", unhex("df 80 00 00 01 01 01"), "elements claimed"},
	{"bin32 of 4 GiB", unhex("c6 ff ff ff ff 01"), "4294967295 bytes claimed, 1 left"},
	{"bin32 of 2 GiB", unhex("c6 80 00 00 00"), "2147483648 bytes claimed, 0 left"},
	{"str32 of 4 GiB", unhex("db ff ff ff ff 61"), "4294967295 bytes claimed, 1 left"},
	{"str32 of 2 GiB", unhex("db 7f ff ff ff 61"), "2147483647 bytes claimed, 1 left"},
	{"ext32 of 4 GiB", unhex("c9 ff ff ff ff 01 00"), "4294967295 bytes claimed, 1 left"},
	{"20 MiB of nested arrays", bytes.Repeat([]byte{0x91}, 20<<20), "nested deeper than 32"},
	{"20 MiB of nested maps", bytes.Repeat([]byte{0x81, 0x01}, 10<<20), "nested deeper than 32"},
	{"20 MiB of nested array16", bytes.Repeat([]byte{0xdc, 0, 1}, 7<<20), "nested deeper than 32"},
	{"arrays that claim each other's elements", bytes.Repeat([]byte{0x9f}, 1<<20), "nested deeper than 32"},
	{"a million values and one", append(unhex("dd 00 10 00 00"), make([]byte, 1<<20)...), "more than 1048576 values"},
	{"a long array in a short one", append(unhex("92 dc ff ff"), make([]byte, 1<<15)...), "elements claimed"},
	{"fixext1 cut", unhex("d4 01"), "1 bytes claimed, 0 left"},
	{"fixext8 cut", unhex("d7 ff 00 00 00"), "8 bytes claimed, 3 left"},
	{"fixext16 without a type", unhex("d8"), "ends early"},
	{"fixext16 cut", append(unhex("d8 05"), make([]byte, 15)...), "16 bytes claimed, 15 left"},
	{"ext8 without a type", unhex("c7 01"), "ends early"},
	{"timestamp of 4294967295 nanoseconds", unhex("c7 0c ff ff ff ff ff 00 00 00 00 00 00 00 00"), "timestamp with 4294967295 nanoseconds"},
	{"timestamp of 10⁹ nanoseconds in 30 bits", unhex("d7 ff ee 6b 28 00 00 00 00 00"), "timestamp with 1000000000 nanoseconds"},
	{"timestamp of 3 bytes", unhex("c7 03 ff 00 00 00"), "timestamp of 3 bytes"},
	{"timestamp of no bytes", unhex("c7 00 ff"), "timestamp of 0 bytes"},
	{"the byte that is never used", unhex("c1"), "0xc1 begins no value"},
	{"the byte that is never used, inside", unhex("92 01 c1"), "0xc1 begins no value"},
	{"two values", unhex("01 02"), "1 bytes after the end"},
	{"nothing", nil, "ends early"},
	{"float32 cut", unhex("ca 00 00 00"), "4 bytes claimed, 3 left"},
	{"float64 cut", unhex("cb 00 00 00 00 00 00 00"), "8 bytes claimed, 7 left"},
	{"int64 cut", unhex("d3 00 00 00 00 00 00 00"), "8 bytes claimed, 7 left"},
	{"a map without its last value", unhex("82 01 01 01"), "elements claimed"},
}

func TestWalkRefusesHostileMessagesAndAllocatesNothingForThem(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			requireSmall(t, func() {
				err := pack.Walk(c.b)
				require.ErrorIs(t, err, pack.ErrMalformed)
				require.ErrorContains(t, err, c.why)
			})
		})
	}
}

func TestReadsOfAKnownShapeAllocateNothingForHostileMessages(t *testing.T) {
	for _, c := range hostile {
		for name, read := range map[string]func(*pack.Reader){
			"Uint":  func(r *pack.Reader) { r.Uint() },
			"Int":   func(r *pack.Reader) { r.Int() },
			"Bool":  func(r *pack.Reader) { r.Bool() },
			"Bin":   func(r *pack.Reader) { r.Bin() },
			"Str":   func(r *pack.Reader) { r.Str() },
			"Array": func(r *pack.Reader) { require.LessOrEqual(t, r.Array(), len(c.b)) },
			"Map":   func(r *pack.Reader) { require.LessOrEqual(t, 2*r.Map(), len(c.b)) },
			"Skip":  func(r *pack.Reader) { r.Skip() },
		} {
			requireSmall(t, func() {
				r := pack.NewReader(c.b)
				read(&r)
				require.LessOrEqual(t, r.Offset(), len(c.b), "%s of %s", name, c.name)
			})
		}
	}
}

// nested is n arrays within one another around a nil.
func nested(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n), 0xc0) }

func TestWalkGoesAsDeepAsItsLimit(t *testing.T) {
	require.NoError(t, pack.Walk(nested(pack.DepthMax)))
	require.ErrorContains(t, pack.Walk(nested(pack.DepthMax+1)), "nested deeper than 32")
	maps := append(bytes.Repeat([]byte{0x81, 0x01}, pack.DepthMax), 0xc0)
	require.NoError(t, pack.Walk(maps))
	require.Error(t, pack.Walk(append([]byte{0x91}, maps...)))
	keys := append(bytes.Repeat([]byte{0x81}, pack.DepthMax+1), make([]byte, pack.DepthMax+2)...)
	require.ErrorContains(t, pack.Walk(keys), "nested deeper than 32", "a key counts like a value")
}

func TestWalkTakesAsManyValuesAsItsLimit(t *testing.T) {
	full := append(unhex("dd 00 0f ff ff"), make([]byte, pack.ElementsMax-1)...)
	require.NoError(t, pack.Walk(full), "the array itself counts as one")
	pairs := append(unhex("df 00 07 ff ff"), make([]byte, pack.ElementsMax-2)...)
	require.NoError(t, pack.Walk(pairs))
	more := append(unhex("dd 00 10 00 00"), make([]byte, pack.ElementsMax)...)
	require.ErrorContains(t, pack.Walk(more), "more than 1048576 values")
}

func TestSkipHasItsBudgetForEachCall(t *testing.T) {
	half := append(unhex("dd 00 0a 00 00"), make([]byte, 0xa0000)...)
	r := pack.NewReader(append(append([]byte{}, half...), half...))
	require.Len(t, r.Skip(), len(half))
	require.Len(t, r.Skip(), len(half))
	require.NoError(t, r.Done())
}

func TestWalkTakesEveryValueOfTheFormat(t *testing.T) {
	for name, b := range map[string][]byte{
		"float32":                  unhex("ca 7f c0 00 00"), // not a number
		"float64":                  unhex("cb 40 09 21 fb 54 44 2d 18"),
		"fixext1":                  unhex("d4 01 00"),
		"fixext2":                  unhex("d5 01 00 00"),
		"fixext4":                  unhex("d6 01 00 00 00 00"),
		"fixext8":                  append(unhex("d7 01"), make([]byte, 8)...),
		"fixext16":                 append(unhex("d8 01"), make([]byte, 16)...),
		"ext8":                     unhex("c7 03 7f 00 00 00"),
		"an empty ext8":            unhex("c7 00 01"),
		"ext16":                    unhex("c8 00 01 80 00"),
		"ext32":                    unhex("c9 00 00 00 01 80 00"),
		"seconds":                  unhex("d6 ff 00 00 00 01"),
		"nanoseconds":              unhex("d7 ff ee 6b 27 fc 00 00 00 00"),
		"seconds and nanoseconds":  unhex("c7 0c ff 3b 9a c9 ff ff ff ff ff ff ff ff ff"),
		"seconds in a wide form":   unhex("c8 00 04 ff 00 00 00 01"),
		"text that is not UTF-8":   unhex("a2 c3 28"),
		"a map with numbers":       unhex("82 01 a1 61 02 a1 62"),
		"a map with a key twice":   unhex("82 a1 61 01 a1 61 02"),
		"an array of all the rest": unhex("95 c0 c2 c3 e0 7f"),
	} {
		require.NoError(t, pack.Walk(b), name)
		require.Zero(t, testing.AllocsPerRun(10, func() { _ = pack.Walk(b) }), name)
	}
}

func TestUintMaxAtTheEndOfItsRange(t *testing.T) {
	r := pack.NewReader(unhex("cf ff ff ff ff ff ff ff ff"))
	require.EqualValues(t, uint64(math.MaxUint64), r.UintMax(math.MaxUint64))
	require.NoError(t, r.Done())
}
