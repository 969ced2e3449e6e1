// Package quorum is part of a tree that a rule is tried on.
package quorum

// LogManager and all below are misnamed.
type LogManager struct {
	BaseDir string
	local   string
}

// RecordData is a type called Data.
type RecordData struct{}

// Data is not a type here, so it may be called so.
func Data() {}

// ILog begins with an I.
type ILog interface {
	NodeInfo() string
}

// LogImpl is an implementation.
type LogImpl struct{}

// HTTPHelper splits after an acronym.
func HTTPHelper() {}

// SlaveCount counts.
const SlaveCount = 1

// MasterName names.
var MasterName = ""

func (LogImpl) UtilWrite() {}

type localManager struct{}
