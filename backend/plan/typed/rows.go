package typed

// The operations.
const (
	OpInvalid Op = iota
	OpConst
	OpInput
	OpHold
	OpShare
	OpOpen
	OpShiftOpen
	OpCover
	OpAdd
	OpSub
	OpXor
	OpNeg
	OpShl
	OpSum
	OpReshape
	OpView
	OpPad
	OpGather
	OpJoin
	OpMul
	OpMatMul
	OpConv
	OpUnmask
	OpWiden
	OpLeaf
	OpMerge
	OpGroup
	OpKeyCompare
	OpMSB
	OpIsZero
	OpSelect
	OpKeyRelu
	OpMulBit
	OpNumber
	OpAnd
	OpWireMul
	OpWave
	OpExpo
	OpReveal
	OpLow
	OpValid
	OpAll
)

// Rows is the table of rows.
var Rows map[Op]*Row

func init() {
	Rows = map[Op]*Row{
		OpConst: constRow, OpInput: inputRow, OpHold: holdRow, OpShare: shareRow,
		OpOpen: openRow, OpShiftOpen: shiftOpenRow, OpCover: coverRow, OpReveal: revealRow,
		OpAdd: addRow, OpSub: subRow, OpXor: xorRow, OpNeg: negRow, OpShl: shlRow, OpSum: sumRow,
		OpReshape: reshapeRow, OpView: viewRow, OpPad: padRow, OpGather: gatherRow, OpJoin: joinRow,
		OpMul: mulRow, OpMatMul: matMulRow, OpConv: convRow, OpUnmask: unmaskRow, OpWiden: widenRow,
		OpLeaf: leafRow, OpMerge: mergeRow, OpGroup: groupRow, OpKeyCompare: keyCompareRow, OpMSB: msbRow, OpIsZero: isZeroRow,
		OpSelect: selectRow, OpKeyRelu: keyReluRow, OpMulBit: mulBitRow, OpNumber: numberRow, OpAnd: andRow,
		OpWireMul: wireMulRow, OpWave: waveRow, OpExpo: expoRow,
		OpReceive: receiveRow, OpWrap: wrapRow, OpExtend: extendRow,
		OpLow: lowRow, OpValid: validRow, OpAll: allRow,
	}
}

// low returns the lowest bits of a word.
func low(x uint64, bits int) uint64 { return x << (64 - bits) >> (64 - bits) }

// signed returns the lowest bits of a word as a number in -2^(bits-1)..2^(bits-1)-1.
func signed(x uint64, bits int) int64 { return int64(x<<(64-bits)) >> (64 - bits) }

// each returns the words that fn gives for all elements.
func each(n int, fn func(i int) uint64) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		out[i] = fn(i)
	}
	return out
}

// whole returns a value that is no mask's.
func whole(n int, fn func(i int) uint64) Words { return Words{X: each(n, fn)} }
