package kind

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// value is a key of the model: a string, or a map, or a set.
type value struct {
	kind    record.Kind // bytes, map (a row too) or set
	text    string
	fields  map[string]string
	expires version.Timestamp
}

// model is what Redis would hold, by table and name.
type model map[keyID]*value

func (m model) at(k *Key) *value { return m[keyID{k.Table, string(k.Name)}] }

func (m model) set(k *Key, v *value) {
	id := keyID{k.Table, string(k.Name)}
	if v == nil || v.kind != record.KindBytes && len(v.fields) == 0 {
		delete(m, id)
		return
	}
	m[id] = v
}

// of returns the key if it is of that kind, a new one if there is none, and false
// if it is of another.
func (m model) of(k *Key, kind record.Kind) (*value, bool) {
	v := m.at(k)
	if v == nil {
		return &value{kind: kind, fields: map[string]string{}, expires: k.Expires}, true
	}
	return v, v.kind == kind
}

func strict(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

func plus(s string, there bool, by int64) (int64, error) {
	n := int64(0)
	if there {
		var ok bool
		if n, ok = strict(s); !ok {
			return 0, ErrNotInteger
		}
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		return 0, ErrOverflow
	}
	return n + by, nil
}

var (
	someNames  = rapid.SampledFrom([]string{"", "\x00", "\x00\x00", "a", "b", "é", "7"})
	someTexts  = rapid.OneOf(rapid.SampledFrom([]string{"", "0", "-1", "7", "007", "+1", "x", "\xff", "9223372036854775807", "-9223372036854775808"}), rapid.StringN(0, 3, 8))
	someNumber = rapid.OneOf(rapid.Int64Range(-3, 3), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64}))
	someTime   = rapid.SampledFrom([]version.Timestamp{0, 10, 20, 30})
	someTables = []record.Kind{record.KindAny, record.KindBytes, record.KindCounter, record.KindMap, record.KindSet, record.KindRow}
)

func someKey(t *rapid.T) Key {
	k := on(rapid.SampledFrom(someTables).Draw(t, "table"), rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key"))
	k.Expires = rapid.SampledFrom([]version.Timestamp{0, 40}).Draw(t, "table's expiry")
	return k
}

// step is one operation: what is to be decided, and what the model says it
// answers. The model changes when the check runs.
type step struct {
	op    Op
	check func(t require.TestingT, m model, err error)
}

var steps = []func(*rapid.T) step{
	putStep, putAllStep, appendStep, incrStep, getStep, deleteStep, lookStep, expireStep, persistStep,
	mapPutStep, mapGetStep, mapAllStep, mapRemoveStep, mapIncrStep, setAddStep, setRemoveStep, setReadStep,
}

func someStep(t *rapid.T) step { return rapid.SampledFrom(steps).Draw(t, "step")(t) }

func TestDecisionsComeToWhatRedisWouldHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cells, m := newMemory(), model{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			s := someStep(t)
			s.check(t, m, cells.do(t, s.op))
			cells.check(t)
			same(t, cells, m)
		}
	})
}

func TestAGroupComesToWhatItsDecisionsDoOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cells, m := newMemory(), model{}
		for range rapid.IntRange(1, 4).Draw(t, "groups") {
			g := &Group{}
			var ss []step
			for range rapid.IntRange(1, 12).Draw(t, "steps") {
				s := someStep(t)
				ss, g.Ops = append(ss, s), append(g.Ops, s.op)
			}
			before := cells.seq
			require.NoError(t, cells.do(t, g))
			require.True(t, g.Done)
			require.LessOrEqual(t, cells.seq, before+1, "one record")
			for i, s := range ss {
				s.check(t, m, g.Errs[i])
			}
			cells.check(t)
			same(t, cells, m)
		}
	})
}

// same compares all of the cells with all of the model.
func same(t require.TestingT, cells *memory, m model) {
	for _, kind := range someTables {
		for _, name := range []string{"k", "l"} {
			k := on(kind, name)
			all := cells.cells[keyID{k.Table, name}]
			look, want := &Look{Key: k}, m.at(&k)
			require.NoError(t, Answer(look, all))
			require.Equal(t, want != nil, look.There)
			if want == nil {
				continue
			}
			require.Equal(t, want.expires, look.Expires)
			switch want.kind {
			case record.KindBytes:
				o := &Get{Key: k}
				require.NoError(t, Answer(o, all))
				require.Equal(t, want.text, string(o.Value))
			case record.KindMap:
				o, n := &MapAll{Key: k}, &MapLength{Key: k}
				require.NoError(t, Answer(o, all))
				require.NoError(t, Answer(n, all))
				require.Equal(t, len(want.fields), n.Count)
				require.Equal(t, want.fields, asMap(o.Fields))
			default:
				o, n := &SetMembers{Key: k}, &SetLength{Key: k}
				require.NoError(t, Answer(o, all))
				require.NoError(t, Answer(n, all))
				require.Equal(t, len(want.fields), n.Count)
				require.True(t, slices.IsSortedFunc(o.Members, bytes.Compare))
				require.Len(t, o.Members, len(want.fields))
				for _, b := range o.Members {
					require.Contains(t, want.fields, string(b))
				}
			}
		}
	}
}

func asMap(fs []Field) map[string]string {
	m := map[string]string{}
	for _, f := range fs {
		m[string(f.Name)] = string(f.Value)
	}
	return m
}

func isString(k record.Kind) bool { return k == record.KindAny || k == record.KindBytes }

func putStep(t *rapid.T) step {
	o := &Put{
		Key: someKey(t), Value: []byte(someTexts.Draw(t, "value")), When: When(rapid.IntRange(0, 3).Draw(t, "when")),
		Equal: []byte(someTexts.Draw(t, "equal")), Expires: someTime.Draw(t, "expires"),
		KeepExpiry: rapid.Bool().Draw(t, "keep"), Return: rapid.Bool().Draw(t, "return"),
	}
	return step{o, func(t require.TestingT, m model, err error) {
		v := m.at(&o.Key)
		other := v != nil && v.kind != record.KindBytes
		_, integer := strict(string(o.Value))
		switch {
		case other && (o.Return || o.When == IfEqual), !isString(o.Key.Kind) && o.Key.Kind != record.KindCounter:
			require.ErrorIs(t, err, ErrWrongKind)
			return
		case o.Key.Kind == record.KindCounter && !integer:
			require.ErrorIs(t, err, ErrNotInteger)
			return
		}
		require.NoError(t, err)
		done := o.When == Always || o.When == IfAbsent && v == nil || o.When == IfPresent && v != nil ||
			o.When == IfEqual && v != nil && v.text == string(o.Equal)
		require.Equal(t, done, o.Done)
		require.Equal(t, o.Return && v != nil, o.There)
		if o.There {
			require.Equal(t, v.text, string(o.Old))
		}
		if !done {
			return
		}
		n := &value{kind: record.KindBytes, text: string(o.Value), expires: o.Expires}
		switch {
		case o.KeepExpiry && v != nil:
			n.expires = v.expires
		case o.KeepExpiry || o.Expires == 0:
			n.expires = o.Key.Expires
		}
		m.set(&o.Key, n)
	}}
}

func putAllStep(t *rapid.T) step {
	o := &PutAll{IfAbsent: rapid.Bool().Draw(t, "absent")}
	for range rapid.IntRange(1, 3).Draw(t, "pairs") {
		o.Pairs = append(o.Pairs, Pair{on(record.KindAny, rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key")), []byte(someTexts.Draw(t, "value"))})
	}
	return step{o, func(t require.TestingT, m model, err error) {
		require.NoError(t, err)
		done := true
		for i := range o.Pairs {
			done = done && !(o.IfAbsent && m.at(&o.Pairs[i].Key) != nil)
		}
		require.Equal(t, done, o.Done)
		for i := range o.Pairs {
			if done {
				m.set(&o.Pairs[i].Key, &value{kind: record.KindBytes, text: string(o.Pairs[i].Value)})
			}
		}
	}}
}

func appendStep(t *rapid.T) step {
	o := &Append{Key: someKey(t), Value: []byte(someTexts.Draw(t, "value"))}
	return step{o, func(t require.TestingT, m model, err error) {
		v, ok := m.of(&o.Key, record.KindBytes)
		if !ok || !isString(o.Key.Kind) {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		require.NoError(t, err)
		v.text += string(o.Value)
		require.Equal(t, len(v.text), o.Length)
		m.set(&o.Key, v)
	}}
}

func incrStep(t *rapid.T) step {
	o := &Incr{Key: someKey(t), By: someNumber.Draw(t, "by")}
	return step{o, func(t require.TestingT, m model, err error) {
		v, ok := m.of(&o.Key, record.KindBytes)
		if !ok || !isString(o.Key.Kind) && o.Key.Kind != record.KindCounter {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		n, want := plus(v.text, m.at(&o.Key) != nil, o.By)
		require.True(t, errors.Is(err, want), "%v, not %v", err, want)
		if want == nil {
			require.Equal(t, n, o.Value)
			v.text = strconv.FormatInt(n, 10)
			m.set(&o.Key, v)
		}
	}}
}

func getStep(t *rapid.T) step {
	o := &Get{Key: someKey(t)}
	return step{o, func(t require.TestingT, m model, err error) {
		v := m.at(&o.Key)
		if v != nil && v.kind != record.KindBytes {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		require.NoError(t, err)
		require.Equal(t, v != nil, o.There)
		if v != nil {
			require.Equal(t, v.text, string(o.Value))
		}
	}}
}

func deleteStep(t *rapid.T) step {
	o := &Delete{Keys: rapid.SliceOfN(rapid.Custom(someKey), 1, 3).Draw(t, "keys")}
	return step{o, func(t require.TestingT, m model, err error) {
		require.NoError(t, err)
		n := 0
		for i := range o.Keys {
			if m.at(&o.Keys[i]) != nil {
				n++
			}
			m.set(&o.Keys[i], nil)
		}
		require.Equal(t, n, o.Count)
	}}
}

func lookStep(t *rapid.T) step {
	o := &Exists{Keys: rapid.SliceOfN(rapid.Custom(someKey), 1, 3).Draw(t, "keys")}
	return step{o, func(t require.TestingT, m model, err error) {
		require.NoError(t, err)
		n := 0
		for i := range o.Keys {
			if m.at(&o.Keys[i]) != nil {
				n++
			}
		}
		require.Equal(t, n, o.Count)
	}}
}

func expireStep(t *rapid.T) step {
	o := &Expire{Key: someKey(t), At: 1 + someTime.Draw(t, "at"), When: ExpireWhen(rapid.IntRange(0, 4).Draw(t, "when"))}
	return step{o, func(t require.TestingT, m model, err error) {
		require.NoError(t, err)
		v := m.at(&o.Key)
		if v == nil {
			require.False(t, o.Done)
			return
		}
		done := map[ExpireWhen]bool{
			ExpireAlways: true, IfNone: v.expires == 0, IfSome: v.expires != 0,
			IfLater: v.expires != 0 && o.At > v.expires, IfSooner: v.expires == 0 || o.At < v.expires,
		}[o.When]
		require.Equal(t, done, o.Done)
		if done {
			v.expires = o.At
		}
	}}
}

func persistStep(t *rapid.T) step {
	o := &Persist{Key: someKey(t)}
	return step{o, func(t require.TestingT, m model, err error) {
		require.NoError(t, err)
		v := m.at(&o.Key)
		require.Equal(t, v != nil && v.expires != 0, o.Done)
		if v != nil {
			v.expires = 0
		}
	}}
}
