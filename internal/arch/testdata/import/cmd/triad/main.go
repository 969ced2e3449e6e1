// Command triad imports everything.
package main

import (
	_ "example.com/house"
	_ "example.com/house/internal/server"
)

func main() {}
