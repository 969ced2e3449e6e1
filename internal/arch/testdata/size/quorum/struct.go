package quorum

type wide struct {
	bag
	f00  int
	f01  int
	f02  int
	f03  int
	f04  int
	f05  int
	f06  int
	f07  int
	f08  int
	f09  int
	f10  int
	f11  int
	f12  int
	f13  int
	f14  int
	f15  int
	f16  int
	f17  int
	x, y int
}

type full struct {
	bag
	f00 int
	f01 int
	f02 int
	f03 int
	f04 int
	f05 int
	f06 int
	f07 int
	f08 int
	f09 int
	f10 int
	f11 int
	f12 int
	f13 int
	f14 int
	f15 int
	f16 int
	f17 int
	f18 int
}

func f() {
	var _ struct {
		f00 int
		f01 int
		f02 int
		f03 int
		f04 int
		f05 int
		f06 int
		f07 int
		f08 int
		f09 int
		f10 int
		f11 int
		f12 int
		f13 int
		f14 int
		f15 int
		f16 int
		f17 int
		f18 int
		f19 int
		f20 int
	}
}
