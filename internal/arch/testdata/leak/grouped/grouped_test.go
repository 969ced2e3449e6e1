package grouped

import (
	"sync"
	"testing"

	_ "go.uber.org/goleak"
)

func TestStart(*testing.T) {
	var wait sync.WaitGroup
	wait.Go(func() {})
	wait.Wait()
}
