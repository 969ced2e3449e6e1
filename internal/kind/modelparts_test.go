package kind

import (
	"errors"
	"maps"
	"strconv"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record"
)

// drawNames draws names of fields; in a table of rows they are columns.
func drawNames(t *rapid.T, k Key) (bs [][]byte) {
	for range rapid.IntRange(1, 3).Draw(t, "names") {
		n := someNames.Draw(t, "name")
		if k.Kind == record.KindRow && n == "" {
			n = "c"
		}
		bs = append(bs, []byte(n))
	}
	return bs
}

func hasFields(k record.Kind) bool {
	return k == record.KindAny || k == record.KindMap || k == record.KindRow
}

func mapPutStep(t *rapid.T) step {
	o := &MapPut{Key: someKey(t), IfAbsent: rapid.Bool().Draw(t, "absent")}
	for _, n := range drawNames(t, o.Key) {
		o.Fields = append(o.Fields, Field{n, []byte(someTexts.Draw(t, "value"))})
	}
	if o.Key.Kind == record.KindRow { // what a number's column makes of text has tests of its own
		for i := range o.Fields {
			o.Fields[i].Value = append([]byte("t"), o.Fields[i].Value...)
		}
	}
	return step{o, func(t require.TestingT, m model, err error) {
		v, ok := m.of(&o.Key, record.KindMap)
		if !ok || !hasFields(o.Key.Kind) {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		require.NoError(t, err)
		n := len(v.fields)
		for _, f := range o.Fields {
			if _, there := v.fields[string(f.Name)]; !there || !o.IfAbsent {
				v.fields[string(f.Name)] = string(f.Value)
			}
		}
		require.Equal(t, len(v.fields)-n, o.New)
		m.set(&o.Key, v)
	}}
}

func mapGetStep(t *rapid.T) step {
	o := &MapGet{Key: someKey(t)}
	o.Names = drawNames(t, o.Key)
	return step{o, func(t require.TestingT, m model, err error) {
		v, ok := m.of(&o.Key, record.KindMap)
		if !ok {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		require.NoError(t, err)
		for i, n := range o.Names {
			want, there := v.fields[string(n)]
			require.Equal(t, there, o.Values[i] != nil)
			require.Equal(t, want, string(o.Values[i]))
		}
	}}
}

func mapAllStep(t *rapid.T) step {
	o := &MapAll{Key: someKey(t)}
	return step{o, func(t require.TestingT, m model, err error) {
		v, ok := m.of(&o.Key, record.KindMap)
		if !ok {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		require.NoError(t, err)
		require.Equal(t, v.fields, asMap(o.Fields))
	}}
}

func mapRemoveStep(t *rapid.T) step {
	o := &MapRemove{Key: someKey(t)}
	o.Names = drawNames(t, o.Key)
	return step{o, func(t require.TestingT, m model, err error) {
		v, ok := m.of(&o.Key, record.KindMap)
		if !ok {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		require.NoError(t, err)
		n := len(v.fields)
		for _, name := range o.Names {
			delete(v.fields, string(name))
		}
		require.Equal(t, n-len(v.fields), o.Count)
		m.set(&o.Key, v)
	}}
}

func mapIncrStep(t *rapid.T) step {
	o := &MapIncr{Key: someKey(t), By: someNumber.Draw(t, "by")}
	o.Name = drawNames(t, o.Key)[0]
	return step{o, func(t require.TestingT, m model, err error) {
		v, ok := m.of(&o.Key, record.KindMap)
		if !ok || !hasFields(o.Key.Kind) {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		old, there := v.fields[string(o.Name)]
		n, want := plus(old, there, o.By)
		require.True(t, errors.Is(err, want), "%v, not %v", err, want)
		if want == nil {
			require.Equal(t, n, o.Value)
			v.fields[string(o.Name)] = strconv.FormatInt(n, 10)
			m.set(&o.Key, v)
		}
	}}
}

func setAddStep(t *rapid.T) step {
	o := &SetAdd{Key: someKey(t), Members: drawNames(t, Key{})}
	return step{o, func(t require.TestingT, m model, err error) {
		v, ok := m.of(&o.Key, record.KindSet)
		if !ok || o.Key.Kind != record.KindAny && o.Key.Kind != record.KindSet {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		require.NoError(t, err)
		n := len(v.fields)
		for _, b := range o.Members {
			v.fields[string(b)] = ""
		}
		require.Equal(t, len(v.fields)-n, o.Count)
		m.set(&o.Key, v)
	}}
}

func setRemoveStep(t *rapid.T) step {
	o := &SetRemove{Key: someKey(t), Members: drawNames(t, Key{})}
	return step{o, func(t require.TestingT, m model, err error) {
		v, ok := m.of(&o.Key, record.KindSet)
		if !ok {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		require.NoError(t, err)
		left := maps.Clone(v.fields)
		for _, b := range o.Members {
			delete(left, string(b))
		}
		require.Equal(t, len(v.fields)-len(left), o.Count)
		v.fields = left
		m.set(&o.Key, v)
	}}
}

func setReadStep(t *rapid.T) step {
	o := &SetHas{Key: someKey(t), Members: drawNames(t, Key{})}
	return step{o, func(t require.TestingT, m model, err error) {
		v, ok := m.of(&o.Key, record.KindSet)
		if !ok {
			require.ErrorIs(t, err, ErrWrongKind)
			return
		}
		require.NoError(t, err)
		for i, b := range o.Members {
			_, has := v.fields[string(b)]
			require.Equal(t, has, o.Has[i])
		}
	}}
}
