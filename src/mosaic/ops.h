/* The ops of the kernel language: one table, which the builder, the printer,
 * the parser, the verifier, the simulator and docs/mosaic.md read.
 *
 * X(ID, name, operands, results, attributes, regions, rule, meaning)
 *
 * operands, results   "name:kind ..."; ? after the kind: may be missing, *: any
 *                     number. Where two groups vary, the attribute
 *                     operandSegmentSizes says how many belong to each.
 *   any               of whatever type
 *   index i32 i1      that scalar
 *   int float number  a scalar or vector of integers (index among them), of
 *                     floats, of either
 *   bool              i1 or a vector of i1
 *   vector mask       a vector, one of i1
 *   memref            a memory reference
 *   sem dma anysem    a reference to counting, to DMA semaphores, to either
 * attributes          "name:kind ...", ? as above
 *   i32 i64 si32      an integer of that width
 *   bool string symbol type array
 *   i32s i64s         array<i32: ...>, array<i64: ...>
 *   ints              [1, 2]
 *   value             a number, or dense<number>
 *   #dialect.name     that enumeration
 * rule                what holds between the types:
 *   SAME              all operands and results have one type
 *   COMPARE           operands have one type, the result its shape in i1
 *   CAST              operand and result have one shape
 *   END               ends a region
 *   OWN               rules of its own, in ir_rules.c
 *   FREE              no more than the kinds say */
#ifndef PFL_MOSAIC_OPS_H
#define PFL_MOSAIC_OPS_H

/* clang-format off */
#define MO_OP_LIST(X)                                                          \
  /* -- arith: scalars and vectors, elementwise */                             \
  X(ARITH_CONSTANT, "arith.constant", "", "result:any", "value:value", 0, OWN, "the value itself") \
  X(ARITH_ADDF, "arith.addf", "lhs:float rhs:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "lhs + rhs") \
  X(ARITH_SUBF, "arith.subf", "lhs:float rhs:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "lhs - rhs") \
  X(ARITH_MULF, "arith.mulf", "lhs:float rhs:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "lhs * rhs") \
  X(ARITH_DIVF, "arith.divf", "lhs:float rhs:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "lhs / rhs") \
  X(ARITH_REMF, "arith.remf", "lhs:float rhs:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "remainder of lhs / rhs, with the sign of lhs") \
  X(ARITH_MAXIMUMF, "arith.maximumf", "lhs:float rhs:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "the larger; NaN if either is") \
  X(ARITH_MINIMUMF, "arith.minimumf", "lhs:float rhs:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "the smaller; NaN if either is") \
  X(ARITH_NEGF, "arith.negf", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "-operand") \
  X(ARITH_ADDI, "arith.addi", "lhs:int rhs:int", "result:int", "overflowFlags:#arith.overflow?", 0, SAME, "lhs + rhs, wrapping") \
  X(ARITH_SUBI, "arith.subi", "lhs:int rhs:int", "result:int", "overflowFlags:#arith.overflow?", 0, SAME, "lhs - rhs, wrapping") \
  X(ARITH_MULI, "arith.muli", "lhs:int rhs:int", "result:int", "overflowFlags:#arith.overflow?", 0, SAME, "lhs * rhs, wrapping") \
  X(ARITH_DIVSI, "arith.divsi", "lhs:int rhs:int", "result:int", "isExact:unit?", 0, SAME, "lhs / rhs, signed, towards zero") \
  X(ARITH_DIVUI, "arith.divui", "lhs:int rhs:int", "result:int", "isExact:unit?", 0, SAME, "lhs / rhs, unsigned") \
  X(ARITH_REMSI, "arith.remsi", "lhs:int rhs:int", "result:int", "", 0, SAME, "remainder of divsi") \
  X(ARITH_REMUI, "arith.remui", "lhs:int rhs:int", "result:int", "", 0, SAME, "remainder of divui") \
  X(ARITH_MAXSI, "arith.maxsi", "lhs:int rhs:int", "result:int", "", 0, SAME, "the larger, signed") \
  X(ARITH_MINSI, "arith.minsi", "lhs:int rhs:int", "result:int", "", 0, SAME, "the smaller, signed") \
  X(ARITH_ANDI, "arith.andi", "lhs:int rhs:int", "result:int", "", 0, SAME, "bitwise and") \
  X(ARITH_ORI, "arith.ori", "lhs:int rhs:int", "result:int", "", 0, SAME, "bitwise or") \
  X(ARITH_XORI, "arith.xori", "lhs:int rhs:int", "result:int", "", 0, SAME, "bitwise exclusive or") \
  X(ARITH_SHLI, "arith.shli", "lhs:int rhs:int", "result:int", "overflowFlags:#arith.overflow?", 0, SAME, "lhs shifted left by rhs") \
  X(ARITH_SHRSI, "arith.shrsi", "lhs:int rhs:int", "result:int", "isExact:unit?", 0, SAME, "lhs shifted right by rhs, filled with the sign") \
  X(ARITH_SHRUI, "arith.shrui", "lhs:int rhs:int", "result:int", "isExact:unit?", 0, SAME, "lhs shifted right by rhs, filled with zeros") \
  X(ARITH_CMPF, "arith.cmpf", "lhs:float rhs:float", "result:bool", "fastmath:#arith.fastmath? predicate:i64", 0, COMPARE, "0 false 1 oeq 2 ogt 3 oge 4 olt 5 ole 6 one 7 ord 8 ueq 9 ugt 10 uge 11 ult 12 ule 13 une 14 uno 15 true") \
  X(ARITH_CMPI, "arith.cmpi", "lhs:int rhs:int", "result:bool", "predicate:i64", 0, COMPARE, "0 eq 1 ne 2 slt 3 sle 4 sgt 5 sge 6 ult 7 ule 8 ugt 9 uge") \
  X(ARITH_SELECT, "arith.select", "condition:bool true_value:any false_value:any", "result:any", "", 0, OWN, "true_value where condition, else false_value") \
  X(ARITH_EXTF, "arith.extf", "in:float", "out:float", "fastmath:#arith.fastmath?", 0, CAST, "to a wider float") \
  X(ARITH_TRUNCF, "arith.truncf", "in:float", "out:float", "fastmath:#arith.fastmath? roundingmode:i32?", 0, CAST, "to a narrower float, to nearest even") \
  X(ARITH_EXTSI, "arith.extsi", "in:int", "out:int", "", 0, CAST, "to a wider integer, signed") \
  X(ARITH_EXTUI, "arith.extui", "in:int", "out:int", "nonNeg:unit?", 0, CAST, "to a wider integer, unsigned") \
  X(ARITH_TRUNCI, "arith.trunci", "in:int", "out:int", "overflowFlags:#arith.overflow?", 0, CAST, "the low bits") \
  X(ARITH_SITOFP, "arith.sitofp", "in:int", "out:float", "", 0, CAST, "a signed integer as a float") \
  X(ARITH_UITOFP, "arith.uitofp", "in:int", "out:float", "nonNeg:unit?", 0, CAST, "an unsigned integer as a float") \
  X(ARITH_FPTOSI, "arith.fptosi", "in:float", "out:int", "", 0, CAST, "a float as a signed integer, towards zero") \
  X(ARITH_FPTOUI, "arith.fptoui", "in:float", "out:int", "", 0, CAST, "a float as an unsigned integer, towards zero") \
  X(ARITH_INDEX_CAST, "arith.index_cast", "in:int", "out:int", "", 0, CAST, "between index and a signed integer") \
  X(ARITH_BITCAST, "arith.bitcast", "in:number", "out:number", "", 0, CAST, "the same bits as another type of that width") \
  /* -- math: elementwise */                                                   \
  X(MATH_EXP, "math.exp", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "e to the operand") \
  X(MATH_EXP2, "math.exp2", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "2 to the operand") \
  X(MATH_LOG, "math.log", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "natural logarithm") \
  X(MATH_LOG2, "math.log2", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "logarithm to base 2") \
  X(MATH_LOG1P, "math.log1p", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "log(1 + operand)") \
  X(MATH_TANH, "math.tanh", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "hyperbolic tangent") \
  X(MATH_SQRT, "math.sqrt", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "square root") \
  X(MATH_RSQRT, "math.rsqrt", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "1 / square root") \
  X(MATH_ABSF, "math.absf", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "absolute value") \
  X(MATH_ABSI, "math.absi", "operand:int", "result:int", "", 0, SAME, "absolute value") \
  X(MATH_SIN, "math.sin", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "sine") \
  X(MATH_COS, "math.cos", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "cosine") \
  X(MATH_ERF, "math.erf", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "error function") \
  X(MATH_FLOOR, "math.floor", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "largest integer not above") \
  X(MATH_CEIL, "math.ceil", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "smallest integer not below") \
  X(MATH_ROUND, "math.round", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "nearest integer, ties away from zero") \
  X(MATH_ROUNDEVEN, "math.roundeven", "operand:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "nearest integer, ties to even") \
  X(MATH_CTPOP, "math.ctpop", "operand:int", "result:int", "", 0, SAME, "number of bits set") \
  X(MATH_CTLZ, "math.ctlz", "operand:int", "result:int", "", 0, SAME, "number of leading zeros") \
  X(MATH_POWF, "math.powf", "lhs:float rhs:float", "result:float", "fastmath:#arith.fastmath?", 0, SAME, "lhs to the power of rhs") \
  /* -- vector */                                                              \
  X(VECTOR_BROADCAST, "vector.broadcast", "source:any", "vector:vector", "", 0, OWN, "repeats a scalar, missing leading dimensions and those of size 1") \
  X(VECTOR_SHAPE_CAST, "vector.shape_cast", "source:vector", "result:vector", "", 0, OWN, "the same elements in row-major order, in another shape") \
  X(VECTOR_LOAD, "vector.load", "base:memref indices:index*", "result:vector", "alignment:i64? nontemporal:bool?", 0, OWN, "the window of base whose first element is at indices") \
  X(VECTOR_STORE, "vector.store", "valueToStore:vector base:memref indices:index*", "", "alignment:i64? nontemporal:bool?", 0, OWN, "the window of base whose first element is at indices becomes valueToStore") \
  X(VECTOR_MULTI_REDUCTION, "vector.multi_reduction", "source:vector acc:any", "dest:any", "kind:#vector.kind reduction_dims:i64s", 0, OWN, "acc combined with source over the dimensions, which go") \
  X(VECTOR_EXTRACT_STRIDED_SLICE, "vector.extract_strided_slice", "source:vector", "result:vector", "offsets:ints sizes:ints strides:ints", 0, OWN, "the part of source at static offsets") \
  X(VECTOR_INSERT_STRIDED_SLICE, "vector.insert_strided_slice", "valueToStore:vector dest:vector", "result:vector", "offsets:ints strides:ints", 0, OWN, "dest with valueToStore at static offsets") \
  X(VECTOR_EXTRACT, "vector.extract", "source:vector dynamic_position:index*", "result:any", "static_position:i64s", 0, FREE, "the element, or the part, at a position of the leading dimensions") \
  /* -- memref: scalars in SMEM, and memory of a scope */                      \
  X(MEMREF_LOAD, "memref.load", "memref:memref indices:index*", "result:any", "alignment:i64? nontemporal:bool?", 0, OWN, "one element") \
  X(MEMREF_STORE, "memref.store", "value:any memref:memref indices:index*", "", "alignment:i64? nontemporal:bool?", 0, OWN, "one element becomes value") \
  X(MEMREF_ALLOCA, "memref.alloca", "dynamicSizes:index* symbolOperands:index*", "memref:memref", "alignment:i64?", 0, FREE, "memory until the end of the enclosing tpu.region") \
  /* -- scf, func: control */                                                  \
  X(SCF_FOR, "scf.for", "lowerBound:int upperBound:int step:int initArgs:any*", "results:any*", "unsignedCmp:unit?", 1, OWN, "for index = lowerBound; index < upperBound; index += step, with carried values") \
  X(SCF_IF, "scf.if", "condition:i1", "results:any*", "", 2, OWN, "the first region if condition, else the second, which may be empty") \
  X(SCF_WHILE, "scf.while", "inits:any*", "results:any*", "", 2, OWN, "runs the first region; while its scf.condition holds, the second, and again") \
  X(SCF_CONDITION, "scf.condition", "condition:i1 args:any*", "", "", 0, END, "ends the first region of scf.while; args go on or are its results") \
  X(SCF_YIELD, "scf.yield", "results:any*", "", "", 0, END, "ends a region of scf; its values are the op's results or the next carried ones") \
  X(FUNC_FUNC, "func.func", "", "", "sym_name:string function_type:type sym_visibility:string? arg_attrs:array? res_attrs:array? dimension_semantics:array? iteration_bounds:i64s? scalar_prefetch:i64? scratch_operands:i64? window_params:array? tpu.core_type:#tpu.core_type?", 1, OWN, "a kernel, or the index map of a window") \
  X(FUNC_RETURN, "func.return", "operands:any*", "", "", 0, END, "ends a function") \
  /* -- tpu: vectors */                                                        \
  X(TPU_VECTOR_LOAD, "tpu.vector_load", "base:memref indices:index* mask:mask?", "result:vector", "strides:i32s", 0, OWN, "vector.load, every strides-th element, only where mask") \
  X(TPU_VECTOR_STORE, "tpu.vector_store", "valueToStore:vector base:memref indices:index* mask:mask?", "", "add:bool? strides:i32s", 0, OWN, "vector.store, only where mask; add: adds to what is there") \
  X(TPU_STRIDED_LOAD, "tpu.strided_load", "base:memref indices:index*", "result:vector", "strides:i32s", 0, OWN, "vector.load of every strides-th element") \
  X(TPU_STRIDED_STORE, "tpu.strided_store", "valueToStore:vector base:memref indices:index*", "", "strides:i32s", 0, OWN, "vector.store to every strides-th element") \
  X(TPU_MATMUL, "tpu.matmul", "lhs:vector rhs:vector acc:vector", "result:vector", "dimension_numbers:#tpu.dot_dimension_numbers? precision:#tpu.contract_precision? transpose_lhs:bool? transpose_lhs_hint:bool transpose_rhs:bool?", 0, OWN, "acc + lhs rhs, contracted, kept and batched as dimension_numbers say") \
  X(TPU_IOTA, "tpu.iota", "", "output:vector", "dimensions:i32s", 0, OWN, "each element its index along the dimensions, taken as one in row-major order") \
  X(TPU_REDUCE_INDEX, "tpu.reduce_index", "input:vector", "output:vector", "axis:i32 kind:#tpu.reduction_kind", 0, FREE, "where along axis the largest or smallest element is") \
  X(TPU_CONCATENATE, "tpu.concatenate", "sources:vector*", "output:vector", "dimension:i32", 0, OWN, "the sources side by side along dimension") \
  X(TPU_TRANSPOSE, "tpu.transpose", "vector:vector", "result:vector", "permutation:i64s", 0, OWN, "result dimension i is vector dimension permutation[i]") \
  X(TPU_DYNAMIC_ROTATE, "tpu.dynamic_rotate", "value:vector amount:i32", "result:vector", "dimension:si32 stride:si32? stride_dimension:si32?", 0, OWN, "element i goes to (i + amount) mod size, amount + stride * j in row j of stride_dimension") \
  X(TPU_BITCAST, "tpu.bitcast", "input:vector", "output:vector", "", 0, OWN, "the same bits; another width is packed along the second last dimension") \
  X(TPU_RESHAPE, "tpu.reshape", "source:vector", "result:vector", "", 0, OWN, "as vector.shape_cast, which is to be preferred") \
  X(TPU_REPEAT, "tpu.repeat", "source:vector", "output:vector", "dimension:i32 times:i32", 0, OWN, "source several times over along dimension") \
  X(TPU_RECIPROCAL, "tpu.reciprocal", "input:vector", "output:vector", "approx:bool? full_range:bool?", 0, OWN, "1 / input; approx: to about 12 bits") \
  X(TPU_LOGISTIC, "tpu.logistic", "input:vector", "output:vector", "", 0, SAME, "1 / (1 + exp(-input))") \
  X(TPU_EXTF, "tpu.extf", "in:float", "out:float", "", 0, CAST, "to a wider float") \
  X(TPU_TRUNCF, "tpu.truncf", "in:float", "out:float", "rounding_mode:#tpu.rounding_mode", 0, CAST, "to a narrower float") \
  X(TPU_SITOFP, "tpu.sitofp", "in:int", "output:float", "rounding_mode:#tpu.rounding_mode", 0, CAST, "a signed integer as a float") \
  X(TPU_FPTOSI, "tpu.fptosi", "in:float", "output:int", "rounding_mode:#tpu.rounding_mode", 0, CAST, "a float as a signed integer") \
  X(TPU_MASK_CAST, "tpu.mask_cast", "input:mask", "result:mask", "", 0, FREE, "a mask in the packing of another width") \
  X(TPU_DYNAMIC_GATHER, "tpu.dynamic_gather", "source:vector indices:vector", "output:vector", "dimensions:i32s", 0, FREE, "elements of source at indices along the dimensions") \
  X(TPU_ASSUME_MULTIPLE, "tpu.assume_multiple", "value:int", "result:int", "multiple:i32", 0, SAME, "value, promised to be a multiple") \
  X(TPU_WEIRD, "tpu.weird", "input:float", "output:bool", "", 0, CAST, "where the input is infinite or NaN") \
  /* -- tpu: memory references */                                              \
  X(TPU_MEMREF_SLICE, "tpu.memref_slice", "mem_ref:memref base_idx:i32* dynamic_sizes:i32*", "result:memref", "", 0, OWN, "the part of mem_ref whose first element is at base_idx") \
  X(TPU_MEMREF_SQUEEZE, "tpu.memref_squeeze", "input:memref", "result:memref", "", 0, OWN, "without some dimensions of size 1") \
  X(TPU_MEMREF_RESHAPE, "tpu.memref_reshape", "input:memref", "result:memref", "", 0, OWN, "the same memory in another shape") \
  X(TPU_MEMREF_BITCAST, "tpu.memref_bitcast", "input:memref", "result:memref", "", 0, OWN, "the same memory as another element type, packed along the second last dimension") \
  X(TPU_REINTERPRET_CAST, "tpu.reinterpret_cast", "input:memref dynamic_offset:i32? dynamic_sizes:i32*", "result:memref", "", 0, FREE, "the same memory as another type") \
  X(TPU_ERASE_MEMREF_LAYOUT, "tpu.erase_memref_layout", "operand:memref", "result:memref", "", 0, FREE, "without its layout") \
  /* -- tpu: DMA, semaphores, devices */                                       \
  X(TPU_ENQUEUE_DMA, "tpu.enqueue_dma", "source:memref source_semaphore:anysem? target:memref target_semaphore:anysem? device_id:i32? core_id:i32? subcore_id:i32?", "", "priority:i32? strict_ordering:bool?", 0, OWN, "starts copying source to target, of another device if device_id; target_semaphore there counts what arrived, source_semaphore here what left") \
  X(TPU_WAIT_DMA2, "tpu.wait_dma2", "semaphore:dma src:memref dst:memref device_id:i32? core_id:i32?", "", "strict_ordering:bool?", 0, OWN, "waits until semaphore counts the bytes of dst, and takes them off") \
  X(TPU_SEM_ALLOC, "tpu.sem_alloc", "", "result:anysem", "", 0, FREE, "semaphores, at zero, until the end of the enclosing tpu.region") \
  X(TPU_SEM_BARRIER, "tpu.sem_barrier", "", "semaphore:sem", "", 0, OWN, "the semaphore of the kernel's collective_id") \
  X(TPU_SEM_SIGNAL, "tpu.sem_signal", "semaphore:sem amount:i32 device_id:i32? core_id:i32? subcore_id:i32?", "", "", 0, OWN, "adds amount, on another device if device_id") \
  X(TPU_SEM_WAIT, "tpu.sem_wait", "semaphore:sem amount:i32", "", "", 0, OWN, "waits until the semaphore has amount, and takes it off") \
  X(TPU_SEM_READ, "tpu.sem_read", "semaphore:anysem", "result:i32", "", 0, FREE, "what the semaphore has") \
  X(TPU_DEVICE_ID, "tpu.device_id", "", "result:i32", "", 0, FREE, "this device's logical number") \
  X(TPU_ITERATION_BOUND, "tpu.iteration_bound", "", "result:i32", "dim:i32", 0, FREE, "the grid's size along dim") \
  X(TPU_DELAY, "tpu.delay", "nanos:i32", "", "", 0, FREE, "waits that long") \
  /* -- tpu: scopes and traces */                                              \
  X(TPU_REGION, "tpu.region", "", "results:any*", "", 1, OWN, "a scope of memory and semaphores") \
  X(TPU_YIELD, "tpu.yield", "results:any*", "", "", 0, END, "ends tpu.region and tpu.trace") \
  X(TPU_TRACE, "tpu.trace", "", "results:any*", "message:string level:i32", 1, OWN, "a scope that profiles show") \
  X(TPU_TRACE_START, "tpu.trace_start", "", "", "message:string level:i32", 0, FREE, "begins a span that profiles show") \
  X(TPU_TRACE_STOP, "tpu.trace_stop", "", "", "", 0, FREE, "ends it") \
  X(TPU_TRACE_VALUE, "tpu.trace_value", "value:number", "", "label:string", 0, FREE, "a scalar that profiles show")
/* clang-format on */

#endif
