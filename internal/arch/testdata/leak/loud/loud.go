// Package loud starts a goroutine, and nobody counts.
package loud

func Start() { go func() {}() }
