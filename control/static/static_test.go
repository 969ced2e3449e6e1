package static

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

// memory is a Stable in memory that can be made to fail.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	fail   error // of the next Save
	keep   bool  // the value of a Save that fails
}

func (m *memory) Save(name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		err := m.fail
		m.fail = nil
		if m.keep {
			m.values[name] = append([]byte{}, value...)
		}
		return err
	}
	m.values[name] = append([]byte{}, value...)
	return nil
}

func (m *memory) Load(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[name], nil
}

func newMemory() *memory { return &memory{values: map[string][]byte{}} }

func on(t *testing.T, stable topology.Stable, o Options) topology.Control {
	t.Helper()
	c, err := New(o)(topology.ControlEnv{Self: "a", Stable: stable, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return c
}

func TestStaticIsAControl(t *testing.T) {
	topologytest.TestControl(t, func(t *testing.T) func() topology.Control {
		stable := newMemory()
		return func() topology.Control { return on(t, stable, Options{}) }
	})
}

func TestTheSeedIsWhatTheConfigurationSays(t *testing.T) {
	require.Equal(t, topology.NodeID("b"), on(t, newMemory(), Options{Leader: "b"}).(topology.Seeder).FirstLeader())
	require.Empty(t, on(t, newMemory(), Options{}).(topology.Seeder).FirstLeader())
	_, err := New(Options{Leader: "not a name"})(topology.ControlEnv{Self: "a", Stable: newMemory()})
	require.Error(t, err)
}

func TestWhatEveryEngineAsksForIsKnownAfterARestart(t *testing.T) {
	stable := newMemory()
	_, err := on(t, stable, Options{}).Swap(t.Context(), topology.Document{Name: topology.DocumentGroup, Body: []byte("x")})
	require.NoError(t, err)
	d, _ := on(t, stable, Options{}).Latest(topology.DocumentGroup)
	require.Equal(t, uint64(1), d.Version)
}

func TestASwapThatFailsAtTheDiskIsUnknown(t *testing.T) {
	for name, kept := range map[string]bool{"and took place": true, "and did not": false} {
		t.Run(name, func(t *testing.T) {
			stable := newMemory()
			c := on(t, stable, Options{})
			_, err := c.Swap(t.Context(), topology.Document{Name: "group", Body: []byte("one")})
			require.NoError(t, err)
			_, stale := c.Latest("group")

			stable.fail, stable.keep = errors.New("input/output error"), kept
			_, err = c.Swap(t.Context(), topology.Document{Name: "group", Version: 1, Body: []byte("two")})
			require.ErrorContains(t, err, "input/output error")
			require.Equal(t, topology.Unknown, topology.OutcomeOf(err))

			d, err := c.Load(t.Context(), "group")
			require.NoError(t, err)
			if !kept {
				require.Equal(t, uint64(1), d.Version)
				return
			}
			require.Equal(t, uint64(2), d.Version)
			<-stale
		})
	}
}

func TestADocumentThatCannotBeReadIsAnError(t *testing.T) {
	for name, bytes := range map[string]string{
		"empty": "", "not an array": "\x01", "a newer format": "\x93\x02\x01\xc4\x00", "trailing bytes": "\x93\x01\x01\xc4\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			stable := newMemory()
			require.NoError(t, stable.Save("control/group", []byte(bytes)))
			_, err := New(Options{})(topology.ControlEnv{Self: "a", Stable: stable})
			require.ErrorContains(t, err, "document group")
		})
	}
}

func TestLimits(t *testing.T) {
	c := on(t, newMemory(), Options{})
	_, err := c.Swap(t.Context(), topology.Document{Name: "group", Body: make([]byte, BodyBytesMax+1)})
	require.ErrorIs(t, err, topology.ErrTooLarge)
	_, err = c.Swap(t.Context(), topology.Document{Name: "group", Body: make([]byte, BodyBytesMax)})
	require.NoError(t, err)
	for _, name := range []string{"", "A", "../x", "1", strings.Repeat("a", nameBytesMax+1)} {
		_, err := c.Load(t.Context(), name)
		require.ErrorIs(t, err, topology.ErrMalformed, name)
		d, _ := c.Latest(name)
		require.Zero(t, d.Version)
	}
}

func TestDocumentsHaveALimit(t *testing.T) {
	c := on(t, newMemory(), Options{})
	names := 2 // group and tables
	for ; names < NamesMax; names++ {
		_, err := c.Load(t.Context(), "d"+strings.Repeat("x", names%40)+string(rune('a'+names/40)))
		require.NoError(t, err)
	}
	_, err := c.Load(t.Context(), "one-more")
	require.ErrorIs(t, err, topology.ErrTooLarge)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	_, err = c.Swap(t.Context(), topology.Document{Name: "group"})
	require.NoError(t, err)
}

func TestAWaitingSwapEndsWithItsContext(t *testing.T) {
	c := on(t, newMemory(), Options{}).(*Control)
	require.NoError(t, c.enter(t.Context()))
	defer c.leave()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Swap(ctx, topology.Document{Name: "group"})
		done <- err
	}()
	cancel()
	err := <-done
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
}

func TestRegisterRefusesWhatIsNoName(t *testing.T) {
	_, err := on(t, newMemory(), Options{}).Register(t.Context(), "Not A Name")
	require.ErrorIs(t, err, topology.ErrMalformed)
}

func TestANumberThatCouldNotBeKeptIsNotGiven(t *testing.T) {
	stable := newMemory()
	c := on(t, stable, Options{})
	stable.fail = errors.New("no")
	_, err := c.Register(t.Context(), "a")
	require.Error(t, err)
	r, err := c.Register(t.Context(), "a")
	require.NoError(t, err)
	require.NotZero(t, r.Number())
}

func TestANumberThatCannotBeReadIsAnError(t *testing.T) {
	stable := newMemory()
	require.NoError(t, stable.Save("registration/a", []byte("\xc4\x00")))
	_, err := on(t, stable, Options{}).Register(t.Context(), "a")
	require.Error(t, err)
}

// The bytes of format 1, which a later version must read.
func TestTheFormsOnDiskStay(t *testing.T) {
	stable := newMemory()
	c := on(t, stable, Options{})
	_, err := c.Swap(t.Context(), topology.Document{Name: "group", Body: []byte("body")})
	require.NoError(t, err)
	_, err = c.Register(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{
		"control/group":  []byte("\x93\x01\x01\xc4\x04body"),
		"registration/a": []byte("\x01"),
	}, stable.values)
}
