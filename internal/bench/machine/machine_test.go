package machine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheMachineHasAName(t *testing.T) { require.NotEmpty(t, Name()) }

func TestCPUGrowsWithWork(t *testing.T) {
	before, busy := CPU(), Busy()
	require.Eventually(t, func() bool {
		sum := 0
		for i := range 1_000_000 {
			sum += i
		}
		return sum > 0 && (CPU() > before || CPU() == 0)
	}, 10e9, 1e6)
	require.GreaterOrEqual(t, Busy(), busy)
}
