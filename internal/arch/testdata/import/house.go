// Package house is the root.
package house

import (
	_ "example.com/house/control/static"
	_ "example.com/house/internal/wal"
	_ "example.com/house/singleleader"
)
