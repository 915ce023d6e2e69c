module 
 // more
@"m" 
 // more
attributes 
 // more
{mhlo.num_partitions 
 // more
= 
 // more
1 
 // more
: 
 // more
i32, 
 // more
mhlo.num_replicas 
 // more
= 
 // more
1 
 // more
: 
 // more
i32} 
 // more
{
 
 // more
 
 // more
func.func 
 // more
public 
 // more
@main(%arg0: 
 // more
tensor < 8x128 x f32 >) 
 // more
-> 
 // more
(tensor < 8x128 x f32 >) 
 // more
{
 
 // more
 
 // more
 
 // more
 
 // more
%0 
 // more
= 
 // more
stablehlo.custom_call 
 // more
@tpu_custom_call(%arg0) 
 // more
{backend_config 
 // more
= 
 // more
"{\22custom_call_config\22:{\22body\22:\22a2VybmVs\22,\22needs_layout_passes\22:true,\22serialization_format\22:1}}", 
 // more
kernel_name 
 // more
= 
 // more
"k", 
 // more
operand_layouts 
 // more
= 
 // more
[dense<[1, 
 // more
0]> 
 // more
: 
 // more
tensor<2xindex>], 
 // more
output_operand_aliases 
 // more
= 
 // more
[], 
 // more
result_layouts 
 // more
= 
 // more
[dense<[1, 
 // more
0]> 
 // more
: 
 // more
tensor<2xindex>]} 
 // more
: 
 // more
(tensor < 8x128 x f32 >) 
 // more
-> 
 // more
tensor < 8x128 x f32 >
 
 // more
 
 // more
 
 // more
 
 // more
return 
 // more
%0 
 // more
: 
 // more
tensor < 8x128 x f32 >
 
 // more
 
 // more
}
}
