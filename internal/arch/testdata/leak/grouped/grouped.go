// Package grouped starts none itself; its tests do.
package grouped
