package compare

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatWasReachedElsewhereIsScaledByTheIdealLogOfTheRun(t *testing.T) {
	o := Options{Op: OpPut, Value: 128, Scaled: true, Subjects: []string{"etcd", "ideal"}}
	measured := []Row{{Subject: "etcd", Writers: 64, PerSecond: 1000}, {Subject: "ideal", Writers: 64, PerSecond: 2 * 105170}}
	rows := scaled(o, measured, 64)
	require.Len(t, rows, 2)
	require.Equal(t, "dragonboat (scaled)", rows[0].Subject)
	require.InDelta(t, 2*29599, rows[0].PerSecond, 1e-6)
	require.InDelta(t, 59.198, rows[0].Ratio, 1e-6)
	require.True(t, rows[0].Scaled)
	require.Contains(t, render(append(measured, rows...), o), "scaled")
	require.Contains(t, scaledPromises(rows)["olric (scaled)"], "no write is on any disk")

	require.Empty(t, scaled(o, measured, 32), "nobody measured that elsewhere")
	require.Empty(t, scaled(o, measured[:1], 64), "there is no ideal log")
	for name, change := range map[string]func(*Options){
		"reads": func(o *Options) { o.Op = OpGet }, "other values": func(o *Options) { o.Value = 1024 },
		"a rate": func(o *Options) { o.Rate = 10 }, "nobody asked": func(o *Options) { o.Scaled = false },
	} {
		other := o
		change(&other)
		require.Empty(t, scaled(other, measured, 64), name)
	}
}

// absent is a subject that is not there.
type absent struct{}

var errAbsent = errors.New("install it")

func (absent) Name() string     { return "absent" }
func (absent) Installed() error { return errAbsent }
func (absent) Promise() string  { return "much" }
func (absent) Run(context.Context, string, Spawn, func(func() (Client, error))) error {
	return errAbsent
}
func (absent) Child(context.Context, []string, func(string)) error { return errAbsent }

// present is one that is, and says nothing of itself.
type present struct{ absent }

func (present) Name() string     { return "present" }
func (present) Installed() error { return nil }

func TestWhatIsNotInstalledIsLeftOutWithTheReason(t *testing.T) {
	subjects := []Subject{absent{}, present{}}
	o := Options{Subjects: []string{"absent", "present"}}
	var said bytes.Buffer
	require.NoError(t, o.leaveOut(subjects, &said))
	require.Equal(t, []string{"present"}, o.Subjects)
	require.Equal(t, "absent is left out: install it\n", said.String())
	require.Equal(t, []string{"absent: install it"}, o.leftOut)
	require.Equal(t, "much", o.promises["present"])

	o = Options{Subjects: []string{"absent"}}
	require.ErrorContains(t, o.leaveOut(subjects, &said), "nothing that was asked for is on this machine")
	require.Equal(t, 1, Main([]string{"-subjects", "absent"}, subjects...))
}
