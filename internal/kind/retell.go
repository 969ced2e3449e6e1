package kind

// telling is a decision that answers with a number, which a retry gets again.
type telling interface {
	told() int64
	retell(int64)
}

func (o *Incr) told() int64      { return o.Value }
func (o *Incr) retell(n int64)   { o.Value = n }
func (o *SetAdd) told() int64    { return int64(o.Count) }
func (o *SetAdd) retell(n int64) { o.Count = int(n) }

func (o *SetRemove) told() int64    { return int64(o.Count) }
func (o *SetRemove) retell(n int64) { o.Count = int(n) }
func (o *MapPut) told() int64       { return int64(o.New) }
func (o *MapPut) retell(n int64)    { o.New = int(n) }
func (o *MapRemove) told() int64    { return int64(o.Count) }
func (o *MapRemove) retell(n int64) { o.Count = int(n) }

func (o *Observe) told() int64    { return o.Value }
func (o *Observe) retell(n int64) { o.Value = n }
func (o *FlagSet) told() int64    { return one(o.Was) }
func (o *FlagSet) retell(n int64) { o.Was = n != 0 }

func (o *SketchAdd) told() int64    { return one(o.Changed) }
func (o *SketchAdd) retell(n int64) { o.Changed = n != 0 }

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
