// Package multileader is part of a tree that a rule is tried on.
package multileader

import (
	_ "example.com/house/singleleader"
)
