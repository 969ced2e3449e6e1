// Package sim is the deterministic floor: whole clusters of real protocol cores
// in one event loop, where a seed gives everything. The schedule, the network,
// the disks, crashes and wall clocks are drawn from it, and so is the
// configuration itself; the same seed on the same commit gives the same trace,
// byte by byte.
//
// # What is real and what is not
//
// Real: the cores, the records and their codec, the log with its recovery, the
// stable documents and side files, the messages of the stream. Not real: time,
// the network ([Net], [Conn]), disks (package crashfs below [Disk]), and the
// shell that carries out a core's effects, which a world plays itself.
//
// # How a run goes
//
// [Run] lets a [World] draw its configuration and begin; the nemesis draws
// faults; once there were enough operations and faults everything heals, and the
// world owes progress within [ProgressMax] and, once its clients are still, one
// common state within [SettleMax]. Rules are checked while it runs and at the
// end; the first that is broken ends the run ([Sim.Fail]).
//
// # How to write a world
//
// A package of its own, with a World in the table of package worlds:
//
//  1. New draws a configuration with [Sim.Between], [Pick] and [Sim.Chance]: node
//     counts, policies, limits as tiny as they may be. It makes a [Machine] for
//     every node, with boot and halt, and adds the faults that only this world has.
//  2. boot opens what is on Machine.Disk.FS and begins; halt forgets the process.
//     Whatever happens at a node happens in [Machine.Do] or [Machine.After], so
//     that it does not happen to one that has died since.
//  3. Nodes talk by [Net.Call] and [Net.Dial]. What travels is bytes: keep to the
//     real codec.
//  4. Clients are none of the floor's machines: they live in [Sim.After], call
//     [Sim.Op] for every operation that was answered or given up, and judge what
//     they are told.
//  5. [Sim.Note] says what happened, in words that never change and numbers;
//     [Sim.Reach] counts states that a run of many seeds must meet: name them in
//     World.Reaches.
//
// Nothing may depend on anything but the seed: no clock, no goroutine, no order
// of a map, no address, no other source of choices than [Sim.Rand].
package sim
