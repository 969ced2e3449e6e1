package topology

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSilencesAreCountedUpToTheirBounds(t *testing.T) {
	var s Silences
	for _, d := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, 5 * time.Second, time.Hour} {
		s.Note(d)
	}
	require.Equal(t, Silences{
		Counts: [13]uint64{0: 2, 1: 1, 11: 1, 12: 1}, Longest: time.Hour, Sum: time.Hour + 5*time.Second + 2*time.Millisecond + 1,
	}, s)
}
