// Package bin breaks the rules where nobody looks.
package bin

import _ "example.com/house/cmd/triad"
