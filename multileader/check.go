package multileader

// Check returns what the builder would find wrong with o on a node of site self; nil
// if that is nothing.
func (o Options) Check(self string) error {
	_, err := o.withDefaults(self)
	return err
}

// Linked reports whether two sites exchange with one another.
func (o Options) Linked(a, b string) bool { return o.linked(a, b) }
