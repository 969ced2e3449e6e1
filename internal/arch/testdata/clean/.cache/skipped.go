package cache

import _ "example.com/house/cmd/triad"
