package compare

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheMeterCountsThisProcess(t *testing.T) {
	m := newMeter(t.TempDir(), func() []int { return nil })
	before := m()
	require.Eventually(t, func() bool {
		sum := 0
		for i := range 1_000_000 {
			sum += i
		}
		d := m().minus(before)
		return sum > 0 && d.own > 0 && d.machine > 0
	}, 10e9, 1e6)
}

func TestTheMeterReadsTheCPUOfALivingProcess(t *testing.T) {
	require.Eventually(t, func() bool {
		for i := range 10_000_000 {
			_ = i
		}
		return processCPU(os.Getpid()) > 0
	}, 10e9, 1e6)
}

func TestAProcessThatIsGoneHasUsedNothing(t *testing.T) {
	require.Zero(t, processCPU(-1))
}

func TestTheMeterKnowsWhatAChildHasStarted(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	require.NoError(t, cmd.Start())
	require.Contains(t, startedBy(os.Getpid()), cmd.Process.Pid)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.NotContains(t, startedBy(os.Getpid()), cmd.Process.Pid)
}
