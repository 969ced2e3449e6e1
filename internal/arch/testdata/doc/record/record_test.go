// Package record_test is documented in a test only, which is enough for nobody.
package record_test
