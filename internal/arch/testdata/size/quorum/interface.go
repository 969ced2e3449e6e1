package quorum

type broad interface {
	M0()
	M1()
	M2()
	M3()
	M4()
	M5()
}

type narrow interface {
	error
	M0()
	M1()
	M2()
	M3()
	M4()
}
