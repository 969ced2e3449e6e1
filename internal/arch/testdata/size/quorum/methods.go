package quorum

type bag struct{}

type pile[T any] struct{}

func (b *bag) m0()  {}
func (b *bag) m1()  {}
func (b *bag) m2()  {}
func (b *bag) m3()  {}
func (b *bag) m4()  {}
func (b *bag) m5()  {}
func (b *bag) m6()  {}
func (b *bag) m7()  {}
func (b *bag) m8()  {}
func (b *bag) m9()  {}
func (b *bag) m10() {}
func (b *bag) m11() {}
func (b *bag) m12() {}
func (b *bag) m13() {}
func (b *bag) m14() {}
func (b *bag) m15() {}
func (b *bag) m16() {}
func (b *bag) m17() {}
func (b *bag) m18() {}
func (b *bag) m19() {}
func (b *bag) m20() {}
func (b *bag) m21() {}
func (b *bag) m22() {}
func (b *bag) m23() {}
func (b *bag) m24() {}

func (p pile[T]) m0()  {}
func (p pile[T]) m1()  {}
func (p pile[T]) m2()  {}
func (p pile[T]) m3()  {}
func (p pile[T]) m4()  {}
func (p pile[T]) m5()  {}
func (p pile[T]) m6()  {}
func (p pile[T]) m7()  {}
func (p pile[T]) m8()  {}
func (p pile[T]) m9()  {}
func (p pile[T]) m10() {}
func (p pile[T]) m11() {}
func (p pile[T]) m12() {}
func (p pile[T]) m13() {}
func (p pile[T]) m14() {}
func (p pile[T]) m15() {}
func (p pile[T]) m16() {}
func (p pile[T]) m17() {}
func (p pile[T]) m18() {}
func (p pile[T]) m19() {}
func (p pile[T]) m20() {}
func (p pile[T]) m21() {}
func (p pile[T]) m22() {}
func (p pile[T]) m23() {}
func (p pile[T]) m24() {}
