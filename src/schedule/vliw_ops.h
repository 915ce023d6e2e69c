/* The instructions of a v5e core as the compiler's final listing spells them.
 *
 * X(NAME, what the executor does, cycles from issue to the first use of the
 * result). NAME is the word up to its first full stop or dash; what follows it
 * (type, comparison, unit, memory space) is read where it matters. An
 * instruction that is not here is reported, and counted like one of the vector
 * unit.
 *
 * Latencies are those of the compiler's own critical-path dumps (see
 * docs/cycle-model.md). */
#ifndef PFL_SCHEDULE_VLIW_OPS_H
#define PFL_SCHEDULE_VLIW_OPS_H

/* Scalar arithmetic, on 32 bits: computed exactly. */
#define VLIW_SCALAR_LIST(X)   \
  X(sadd, ADD, 1)             \
  X(ssub, SUB, 1)             \
  X(smul, MUL, 2)             \
  X(smulhi, MULHI, 2)         \
  X(sdiv, DIV, 2)             \
  X(srem, REM, 2)             \
  X(smax, MAX, 1)             \
  X(smin, MIN, 1)             \
  X(sand, AND, 1)             \
  X(sor, OR, 1)               \
  X(sxor, XOR, 1)             \
  X(sshll, SHIFT_LEFT, 1)     \
  X(sshrl, SHIFT_RIGHT, 1)    \
  X(sshra, SHIFT_SIGNED, 1)   \
  X(sclz, LEADING_ZEROS, 1)   \
  X(smov, MOVE, 1)            \
  X(scalar_lea, ADD, 1)       \
  X(scalar_select, SELECT, 2) \
  X(scmp, COMPARE, 2)         \
  X(por, PRED_OR, 1)          \
  X(pnor, PRED_NOR, 1)        \
  X(pand, PRED_AND, 1)        \
  X(pnand, PRED_NAND, 1)      \
  X(pxor, PRED_XOR, 1)        \
  X(pneg, PRED_NOT, 1)        \
  X(pmov, PRED_MOVE, 1)       \
  X(sld, LOAD, 6)             \
  X(sst, STORE, 1)

/* What moves data, waits, or steers. */
#define VLIW_CONTROL_LIST(X)                \
  X(sbr, BRANCH, 1)                         \
  X(shalt, HALT, 1)                         \
  X(dma, DMA, 1)                            \
  X(vwait, WAIT, 1)                         \
  X(vsyncadd, FLAG_ADD, 1)                  \
  X(vsyncset, FLAG_SET, 1)                  \
  X(vsyncpa, FLAG_CLAIM, 1)                 \
  X(vsyncmov, FLAG_READ, 1)                 \
  X(spop, POP_SCALAR, 1)                    \
  X(inlined_call, CALL, 1)                  \
  X(inlined_call_operand, OPERAND, 0)       \
  X(scalar_parameter_address, PARAMETER, 1) \
  X(reloc, RELOCATION, 1)                   \
  X(sphi, PHI, 0)                           \
  X(pphi, PHI, 0)                           \
  X(vmphi, PHI, 0)                          \
  X(vphi, PHI, 0)                           \
  X(int_to_ptr, ALIAS, 0)                   \
  X(vdelay, DELAY, 0)                       \
  X(sfence, NOTHING, 1)                     \
  X(ssettag, NOTHING, 1)                    \
  X(vtrace, NOTHING, 1)                     \
  X(vsettm, NOTHING, 1)                     \
  X(compiler, NOTHING, 0)

/* The vector units. XLU instructions are told by their ".xluN", matrix ones by
 * their ".mxuN", whatever the word before. */
#define VLIW_VECTOR_LIST(X) \
  X(vmatmul, MATMUL, 2)     \
  X(vmatpush, MATPUSH, 2)   \
  X(vpop, POP, 1)           \
  X(vexp2, EUP, 2)          \
  X(vpow2, EUP, 2)          \
  X(vlog2, EUP, 2)          \
  X(vrcp, EUP, 2)           \
  X(vrsqrt, EUP, 2)         \
  X(vsqrt, EUP, 2)          \
  X(vtanh, EUP, 2)          \
  X(verf, EUP, 2)           \
  X(vsin, EUP, 2)           \
  X(vcos, EUP, 2)           \
  X(vsigshft, EUP, 2)       \
  X(vpush, PUSH_SCALAR, 2)  \
  X(vxpose, VECTOR, 2)      \
  X(vld, VECTOR, 1)         \
  X(vst, VECTOR, 2)         \
  X(vadd, VECTOR, 2)        \
  X(vsub, VECTOR, 2)        \
  X(vmul, VECTOR, 2)        \
  X(vmax, VECTOR, 2)        \
  X(vmin, VECTOR, 2)        \
  X(vclamps, VECTOR, 2)     \
  X(vand, VECTOR, 2)        \
  X(vor, VECTOR, 2)         \
  X(vxor, VECTOR, 2)        \
  X(vnot, VECTOR, 2)        \
  X(vshll, VECTOR, 2)       \
  X(vshrl, VECTOR, 2)       \
  X(vshra, VECTOR, 2)       \
  X(vclz, VECTOR, 2)        \
  X(vpcnt, VECTOR, 2)       \
  X(vcvt, VECTOR, 2)        \
  X(vceil, VECTOR, 2)       \
  X(vfloor, VECTOR, 2)      \
  X(vround, VECTOR, 2)      \
  X(vtrunc, VECTOR, 2)      \
  X(vpack, VECTOR, 2)       \
  X(vunpack, VECTOR, 2)     \
  X(vcombine, VECTOR, 2)    \
  X(vrot, VECTOR, 2)        \
  X(vperm, VECTOR, 2)       \
  X(vbcast, VECTOR, 2)      \
  X(vrng, VECTOR, 2)        \
  X(vset, VECTOR, 2)        \
  X(vsetiar, VECTOR, 2)     \
  X(vsetperm, VECTOR, 2)    \
  X(vsetspr, VECTOR, 2)     \
  X(vsetrngseed, VECTOR, 2) \
  X(vmov, VECTOR, 1)        \
  X(vsel, VECTOR, 1)        \
  X(vstv, VECTOR, 1)        \
  X(vlaneseq, VECTOR, 1)    \
  X(vcmp, VECTOR, 1)        \
  X(vweird, VECTOR, 1)      \
  X(vcmask, VECTOR, 2)      \
  X(vnez, VECTOR, 1)        \
  X(vmand, VECTOR, 1)       \
  X(vmor, VECTOR, 1)        \
  X(vmxor, VECTOR, 1)       \
  X(vmneg, VECTOR, 1)       \
  X(vmmov, VECTOR, 1)       \
  X(vmpackc, VECTOR, 1)

/* What the executor does: the second column, each once. */
#define VLIW_ACTION_LIST(X) \
  X(ADD)                    \
  X(SUB)                    \
  X(MUL)                    \
  X(MULHI)                  \
  X(DIV)                    \
  X(REM)                    \
  X(MAX)                    \
  X(MIN)                    \
  X(AND)                    \
  X(OR)                     \
  X(XOR)                    \
  X(SHIFT_LEFT)             \
  X(SHIFT_RIGHT)            \
  X(SHIFT_SIGNED)           \
  X(LEADING_ZEROS)          \
  X(MOVE)                   \
  X(SELECT)                 \
  X(COMPARE)                \
  X(PRED_OR)                \
  X(PRED_NOR)               \
  X(PRED_AND)               \
  X(PRED_NAND)              \
  X(PRED_XOR)               \
  X(PRED_NOT)               \
  X(PRED_MOVE)              \
  X(LOAD)                   \
  X(STORE)                  \
  X(BRANCH)                 \
  X(HALT)                   \
  X(DMA)                    \
  X(WAIT)                   \
  X(FLAG_ADD)               \
  X(FLAG_SET)               \
  X(FLAG_CLAIM)             \
  X(FLAG_READ)              \
  X(POP_SCALAR)             \
  X(CALL)                   \
  X(OPERAND)                \
  X(PARAMETER)              \
  X(RELOCATION)             \
  X(PHI)                    \
  X(ALIAS)                  \
  X(DELAY)                  \
  X(NOTHING)                \
  X(MATMUL) X(MATPUSH) X(POP) X(EUP) X(PUSH_SCALAR) X(VECTOR) X(UNKNOWN)

typedef enum vliw_action {
#define VLIW_ACTION_ENUM(name) VLIW_##name,
  VLIW_ACTION_LIST(VLIW_ACTION_ENUM)
#undef VLIW_ACTION_ENUM
} vliw_action;

#endif
