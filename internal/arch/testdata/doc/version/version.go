// It tells who wrote.
package version
