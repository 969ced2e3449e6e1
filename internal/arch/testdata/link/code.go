// Package link is here to be pointed at.
package link
