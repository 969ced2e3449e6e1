package wal

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestLogKeepsTheContractOfAGroupLog(t *testing.T) {
	testGroupLog(t, func(t *testing.T) topology.GroupLog {
		return start(t, small(vfs.NewMem())).Log
	})
}

// testGroupLog examines an implementation of topology.GroupLog. open returns an
// empty, running log whose end is seen to by the test's cleanup; it is called
// within a synctest bubble.
func testGroupLog(t *testing.T, open func(t *testing.T) topology.GroupLog) {
	examine := func(name string, f func(t *testing.T, l topology.GroupLog)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, open(t)) })
		})
	}
	examine("an empty log begins at 1", func(t *testing.T, l topology.GroupLog) {
		require.Equal(t, topology.Bounds{First: 1}, l.Bounds())
		require.Empty(t, l.History())
		require.Empty(t, held(t, l))
	})
	examine("Append numbers without gaps and returns the last", func(t *testing.T, l topology.GroupLog) {
		last, err := l.Append(1, numbered(1), numbered(2), numbered(3))
		require.NoError(t, err)
		require.Equal(t, record.LSN(3), last)
		require.Equal(t, record.LSN(4), put(t, l, 1, 4, 4))
		require.Equal(t, numbers(1, 4), held(t, l))
	})
	examine("concurrent Appends get LSNs of their own", func(t *testing.T, l topology.GroupLog) {
		const writers, each = 8, 50
		var mu sync.Mutex
		var got []record.LSN
		var wg sync.WaitGroup
		for w := range uint64(writers) {
			wg.Go(func() {
				for i := range uint64(each) {
					lsn, err := l.Append(1, numbered(w*each+i))
					mu.Lock()
					got = append(got, lsn)
					mu.Unlock()
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		slices.Sort(got)
		for i, lsn := range got {
			require.Equal(t, record.LSN(i+1), lsn)
		}
	})
	examine("Append keeps nothing of its records", func(t *testing.T, l topology.GroupLog) {
		r := sized(1, 100)
		_, err := l.Append(1, r)
		require.NoError(t, err)
		clear(r.Mutations[0].Value)
		clear(r.Mutations[0].Key)
		require.Equal(t, numbers(1, 1), held(t, l))
	})
	examine("a term below the last is refused", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 5, 1, 1)
		_, err := l.Append(4, numbered(2))
		require.ErrorIs(t, err, topology.ErrMalformed)
		require.Equal(t, numbers(1, 1), held(t, l))
	})
	examine("Flushed returns when it is durable, and Bounds says so", func(t *testing.T, l topology.GroupLog) {
		last := put(t, l, 1, 1, 30)
		require.NoError(t, l.Flushed(t.Context(), last))
		require.GreaterOrEqual(t, l.Bounds().Flushed, last)
	})
	examine("Flushed and Wait end with their context", func(t *testing.T, l topology.GroupLog) {
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() { errs <- l.Flushed(ctx, 1) }()
		go func() { errs <- l.Wait(ctx, 0) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-errs, context.Canceled)
		require.ErrorIs(t, <-errs, context.Canceled)
	})
	examine("Wait returns once there is an entry after", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 2)
		require.NoError(t, l.Wait(t.Context(), 1))
		got := make(chan error, 1)
		go func() { got <- l.Wait(t.Context(), 2) }()
		synctest.Wait()
		require.Empty(t, got)
		put(t, l, 1, 3, 3)
		require.NoError(t, <-got)
	})
	examine("Bytes counts what was appended", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 1)
		one := l.Bounds().Bytes
		require.Positive(t, one)
		put(t, l, 1, 1, 1)
		require.Equal(t, 2*one, l.Bounds().Bytes)
	})
	examine("Notify is told of flushes", func(t *testing.T, l topology.GroupLog) {
		told := make(chan topology.Bounds, 100)
		l.Notify(func(b topology.Bounds, err error) {
			if err == nil {
				told <- b
			}
		})
		put(t, l, 1, 1, 1)
		flush(t, l)
		require.Equal(t, record.LSN(1), (<-told).Flushed)
		l.Notify(nil)
		put(t, l, 1, 2, 2)
		flush(t, l)
		synctest.Wait()
		require.Empty(t, told)
	})
	t.Run("reads", func(t *testing.T) { testGroupLogReads(t, open) })
	t.Run("copies", func(t *testing.T) { testGroupLogCopies(t, open) })
	t.Run("truncations", func(t *testing.T) { testGroupLogTruncations(t, open) })
}

func testGroupLogReads(t *testing.T, open func(t *testing.T) topology.GroupLog) {
	examine := func(name string, f func(t *testing.T, l topology.GroupLog)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, open(t)) })
		})
	}
	examine("every place in the log can be read from", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 100)
		flush(t, l)
		put(t, l, 1, 101, 120)
		for from := record.LSN(1); from <= 121; from++ {
			next := from
			for e, err := range l.Read(t.Context(), from) {
				require.NoError(t, err)
				require.Equal(t, uint64(next), number(t, e))
				next++
			}
			require.Equal(t, record.LSN(121), next)
		}
	})
	examine("a read ends where the log ended when it was asked for", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 3)
		read := l.Read(t.Context(), 1)
		put(t, l, 1, 4, 5)
		n := 0
		for _, err := range read {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 3, n)
	})
	examine("a read can be given up", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 60)
		flush(t, l)
		for e, err := range l.Read(t.Context(), 1) {
			require.NoError(t, err)
			if e.LSN == 2 {
				break
			}
		}
	})
	examine("a read ends with its context", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 3)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range l.Read(ctx, 1) {
			require.ErrorIs(t, err, context.Canceled)
		}
	})
	examine("below the first LSN a read is ErrCompacted", func(t *testing.T, l topology.GroupLog) {
		n := 0
		for _, err := range l.Read(t.Context(), 0) {
			require.ErrorIs(t, err, topology.ErrCompacted)
			n++
		}
		require.Equal(t, 1, n)
	})
	examine("entries stay as they were", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 3)
		var kept []record.Entry
		for e, err := range l.Read(t.Context(), 1) {
			require.NoError(t, err)
			kept = append(kept, e)
		}
		flush(t, l)
		require.NoError(t, l.Truncate(topology.Range{First: 1, Last: 1}))
		put(t, l, 2, 50, 90)
		flush(t, l)
		for i, e := range kept {
			require.Equal(t, uint64(i+1), number(t, e))
			require.Equal(t, uint64(1), e.Term)
		}
	})
	examine("Offset measures the distance between entries", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 200)
		flush(t, l)
		require.Equal(t, l.Bounds().Bytes, l.Offset(200)-l.Offset(0))
		for lsn := record.LSN(1); lsn <= 200; lsn++ {
			require.GreaterOrEqual(t, l.Offset(lsn), l.Offset(lsn-1))
		}
		require.Equal(t, l.Offset(200), l.Offset(1000))
	})
}

func testGroupLogCopies(t *testing.T, open func(t *testing.T) topology.GroupLog) {
	foreign := func(lsn record.LSN, term uint64) record.Entry {
		r := numbered(uint64(lsn))
		b := record.NewEncoder().Append(nil, &r)
		return record.Entry{LSN: lsn, Term: term, Sum: record.Sum(b), Bytes: b}
	}
	examine := func(name string, f func(t *testing.T, l topology.GroupLog)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, open(t)) })
		})
	}
	examine("Copy places entries verbatim", func(t *testing.T, l topology.GroupLog) {
		want := []record.Entry{foreign(1, 1), foreign(2, 1), foreign(3, 4)}
		require.NoError(t, l.Copy(want...))
		flush(t, l)
		var got []record.Entry
		for e, err := range l.Read(t.Context(), 1) {
			require.NoError(t, err)
			got = append(got, e)
		}
		require.Equal(t, want, got)
		require.Equal(t, topology.History{{Term: 1, Start: 1}, {Term: 4, Start: 3}}, l.History())
	})
	for name, es := range map[string][]record.Entry{
		"a gap":             {foreign(4, 2)},
		"an overlap":        {foreign(2, 2)},
		"a gap within":      {foreign(3, 2), foreign(5, 2)},
		"a lower term":      {foreign(3, 1)},
		"a falling term":    {foreign(3, 3), foreign(4, 2)},
		"an empty record":   {{LSN: 3, Term: 2}},
		"the last is wrong": {foreign(3, 2), foreign(4, 2), foreign(6, 2)},
	} {
		examine("Copy refuses "+name+", all of it", func(t *testing.T, l topology.GroupLog) {
			require.NoError(t, l.Copy(foreign(1, 2), foreign(2, 2)))
			require.ErrorIs(t, l.Copy(es...), topology.ErrMalformed)
			require.Equal(t, numbers(1, 2), held(t, l))
			require.NoError(t, l.Copy(foreign(3, 2)))
		})
	}
	examine("Copy keeps nothing of its entries", func(t *testing.T, l topology.GroupLog) {
		e := foreign(1, 1)
		require.NoError(t, l.Copy(e))
		clear(e.Bytes)
		require.Equal(t, numbers(1, 1), held(t, l))
	})
	examine("History tells where terms start", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 2)
		put(t, l, 3, 3, 3)
		put(t, l, 7, 4, 6)
		require.Equal(t, topology.History{{Term: 1, Start: 1}, {Term: 3, Start: 3}, {Term: 7, Start: 4}}, l.History())
	})
}

func testGroupLogTruncations(t *testing.T, open func(t *testing.T) topology.GroupLog) {
	examine := func(name string, f func(t *testing.T, l topology.GroupLog)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, open(t)) })
		})
	}
	examine("a cut tail is gone, with its terms, and its LSNs are free", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 40)
		put(t, l, 2, 41, 80)
		flush(t, l)
		put(t, l, 2, 81, 90)
		require.NoError(t, l.Truncate(topology.Range{First: 1, Last: 30}))
		require.Equal(t, record.LSN(30), l.Bounds().End)
		require.Equal(t, topology.History{{Term: 1, Start: 1}}, l.History())
		put(t, l, 3, 31, 33)
		flush(t, l)
		require.Equal(t, numbers(1, 33), held(t, l))
		require.Equal(t, topology.History{{Term: 1, Start: 1}, {Term: 3, Start: 31}}, l.History())
	})
	examine("whoever waits for what is cut off is told", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 5)
		flush(t, l)
		errs := make(chan error, 2)
		go func() { errs <- l.Flushed(t.Context(), 9) }()
		go func() { errs <- l.Wait(t.Context(), 5) }()
		still := make(chan error, 1)
		go func() { still <- l.Wait(t.Context(), 4) }() // an entry after it is there
		require.NoError(t, <-still)
		synctest.Wait()
		require.NoError(t, l.Truncate(topology.Range{First: 1, Last: 3}))
		require.ErrorIs(t, <-errs, topology.ErrRewound)
		require.ErrorIs(t, <-errs, topology.ErrRewound)
	})
	examine("retention keeps what it is asked to keep", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 100)
		put(t, l, 2, 101, 200)
		flush(t, l)
		require.NoError(t, l.Truncate(topology.Range{First: 150, Last: 200}))
		b := l.Bounds()
		require.LessOrEqual(t, b.First, record.LSN(150))
		require.Equal(t, record.LSN(200), b.End)
		require.Equal(t, numbers(uint64(b.First), 200), held(t, l))
		require.Equal(t, topology.History{{Term: 1, Start: 1}, {Term: 2, Start: 101}}, l.History())
	})
	examine("retention does not cut the tail", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 100)
		require.NoError(t, l.Truncate(topology.Range{First: 50, Last: ^record.LSN(0)}))
		require.Equal(t, record.LSN(100), l.Bounds().End)
	})
	examine("a First beyond the end restarts the log there", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 10)
		h := topology.History{{Term: 1, Start: 1}, {Term: 4, Start: 700}, {Term: 5, Start: 1001}}
		require.NoError(t, l.Truncate(topology.Range{First: 1000, Last: 5000, History: h}))
		b := l.Bounds()
		require.Equal(t, [3]record.LSN{1000, 999, 999}, [3]record.LSN{b.First, b.End, b.Flushed})
		require.Equal(t, h[:2], l.History())
		require.Equal(t, record.LSN(1000), put(t, l, 4, 1000, 1000))
		flush(t, l)
		require.Equal(t, numbers(1000, 1000), held(t, l))
	})
	examine("Last just before First restarts the log within itself", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 10)
		require.NoError(t, l.Truncate(topology.Range{First: 5, Last: 4, History: topology.History{{Term: 2, Start: 3}}}))
		require.Empty(t, held(t, l))
		require.Equal(t, record.LSN(5), l.Bounds().First)
		require.Equal(t, topology.History{{Term: 2, Start: 3}}, l.History())
	})
	examine("all of the tail can be cut", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 80)
		flush(t, l)
		require.NoError(t, l.Truncate(topology.Range{Last: 0}))
		require.Equal(t, record.LSN(0), l.Bounds().End)
		put(t, l, 1, 1, 2)
		flush(t, l)
		require.Equal(t, numbers(1, 2), held(t, l))
	})
	examine("what is no range is refused", func(t *testing.T, l topology.GroupLog) {
		put(t, l, 1, 1, 10)
		require.ErrorIs(t, l.Truncate(topology.Range{First: 7, Last: 3}), topology.ErrMalformed)
		require.ErrorIs(t, l.Truncate(topology.Range{First: 70, History: topology.History{{Term: 2, Start: 3}, {Term: 1, Start: 4}}}), topology.ErrMalformed)
		require.Equal(t, numbers(1, 10), held(t, l))
	})
	examine("what is gone cannot be kept", func(t *testing.T, l topology.GroupLog) {
		require.NoError(t, l.Truncate(topology.Range{First: 100}))
		require.ErrorIs(t, l.Truncate(topology.Range{First: 1, Last: 50}), topology.ErrCompacted)
	})
}
