// Package machine says what figures were taken on, and what this process has used of it.
package machine
