// Package untested has no tests to end.
package untested

func Start() { go func() {}() }
