package loud

import "testing"

func TestStart(*testing.T) { Start() }
