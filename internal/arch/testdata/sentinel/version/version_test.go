package version

import "errors"

var ErrOnce = errors.New("a test may have its own")
