// Command triad is the end of every arrow.
package main

import (
	_ "example.com/house/internal/server"
	_ "github.com/any/thing"
)

func main() {}
