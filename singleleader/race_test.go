//go:build race

package singleleader

// steadyWrites are fewer where everything takes ten times as long.
const steadyWrites = 50_000
