"""GLSL of the room renderer."""

VERTEX = """#version 330
uniform mat4 view; uniform mat4 projection;
in vec3 in_position; in vec3 in_normal; in vec2 in_uv; in float in_material;
out vec3 world; out vec3 normal; out vec2 uv; out float depth; flat out int material;
void main() {
    world = in_position; normal = in_normal; uv = in_uv; material = int(in_material + 0.5);
    vec4 p = view * vec4(in_position, 1.0);
    depth = p.z;                                    // camera z points forward: the optical frame
    gl_Position = projection * p;
}"""

_CUT = """
uniform sampler2D materials; uniform sampler2DArray layers;
vec4 entry(int k) { return texelFetch(materials, ivec2(k, material), 0); }
"""

DEPTH = (
    """#version 330
in vec2 uv; in float depth; in vec3 world; in vec3 normal; flat in int material; out float z;"""
    + _CUT
    + """
void main() {
    if (entry(2).y > 0.5 && texture(layers, vec3(uv, entry(0).w)).a < 0.5) discard;
    z = depth;
}"""
)

SHADOW_VERTEX = """#version 330
uniform mat4 light; in vec3 in_position;
void main() { gl_Position = light * vec4(in_position, 1.0); }"""
SHADOW = """#version 330
void main() {}"""

SCREEN = """#version 330
in vec2 in_corner; out vec2 place;
void main() { place = in_corner * 0.5 + 0.5; gl_Position = vec4(in_corner, 0.0, 1.0); }"""

# Screen-space ambient occlusion at half resolution: share of samples in the hemisphere that lie behind the depth image.
OCCLUSION = """#version 330
uniform sampler2D depths; uniform vec2 tangent;      // half width and height of the image plane at z = 1
in vec2 place; out float open;
vec3 point(vec2 p) { float z = texture(depths, p).r; return vec3((p * 2.0 - 1.0) * tangent * z, z); }
void main() {
    vec3 c = point(place);
    vec3 n = normalize(cross(dFdx(c), dFdy(c))); if (n.z > 0.0) n = -n;
    ivec2 q = ivec2(gl_FragCoord.xy) & 3;
    float turn = float((q.x * 4 + q.y) * 7 % 16) / 16.0, blocked = 0.0;
    for (int i = 0; i < 12; i++) {
        float s = (float(i) + turn) / 12.0, angle = 6.2831853 * (float(i) * 0.618 + turn), radius = 0.45 * s;
        vec2 p = place + vec2(cos(angle), sin(angle)) * radius / (c.z * 2.0 * tangent);
        vec3 v = point(p) - c;
        float d = length(v) + 1e-4;
        blocked += max(dot(n, v) / d - 0.12, 0.0) * smoothstep(0.6, 0.15, d);
    }
    open = clamp(1.0 - 2.2 * blocked / 12.0, 0.0, 1.0);
}"""

SMOOTH = """#version 330
uniform sampler2D source; uniform sampler2D depths; in vec2 place; out float open;
void main() {
    vec2 texel = 1.0 / vec2(textureSize(source, 0));
    float z = texture(depths, place).r, total = 0.0, weight = 0.0;
    for (int y = -2; y < 2; y++) for (int x = -2; x < 2; x++) {
        vec2 p = place + (vec2(x, y) + 0.5) * texel;
        float w = exp(-40.0 * abs(texture(depths, p).r - z) / z) + 1e-4;
        total += w * texture(source, p).r; weight += w;
    }
    open = total / weight;
}"""

COLOUR = (
    """#version 330
#define LIGHTS %d
in vec3 world; in vec3 normal; in vec2 uv; in float depth; flat in int material; out vec4 colour;
uniform vec3 eye; uniform vec3 ambient; uniform int lights; uniform vec2 size;
uniform vec3 light_position[LIGHTS]; uniform vec3 light_direction[LIGHTS]; uniform vec3 light_intensity[LIGHTS];
uniform float light_parallel[LIGHTS]; uniform mat4 light_matrix[LIGHTS];
uniform sampler2DShadow shadows; uniform sampler2D occlusion;"""
    + _CUT
    + """
float hash(ivec3 p) {
    uint h = uint(p.x) * 1597334677u ^ uint(p.y) * 3812015801u ^ uint(p.z) * 2798796415u;
    h = (h ^ (h >> 15)) * 2246822519u; h ^= h >> 13;
    return float(h & 0xffffu) / 65535.0;
}
float lattice(vec3 p) {
    ivec3 i = ivec3(floor(p)); vec3 f = fract(p); f = f * f * (3.0 - 2.0 * f);
    float a = mix(mix(hash(i), hash(i + ivec3(1,0,0)), f.x),
                  mix(hash(i + ivec3(0,1,0)), hash(i + ivec3(1,1,0)), f.x), f.y);
    float b = mix(mix(hash(i + ivec3(0,0,1)), hash(i + ivec3(1,0,1)), f.x),
                  mix(hash(i + ivec3(0,1,1)), hash(i + ivec3(1,1,1)), f.x), f.y);
    return mix(a, b, f.z) - 0.5;
}
float shadow(int i) {
    vec4 p = light_matrix[i] * vec4(world + normal * 0.015, 1.0);
    if (p.w <= 0.0) return 0.0;
    vec3 q = p.xyz / p.w;
    if (any(greaterThan(abs(q.xy), vec2(0.99)))) return light_parallel[i] > 0.5 ? 0.0 : 1.0;
    vec2 tile = vec2(i & 3, i >> 2);
    return texture(shadows, vec3((tile + q.xy * 0.5 + 0.5) * 0.25, q.z * 0.5 + 0.5 - 0.0004));
}
void main() {
    vec4 tint = entry(0), finish = entry(1), grain = entry(2);
    vec3 albedo = tint.rgb;
    if (tint.w >= 0.0) {
        vec4 texel = texture(layers, vec3(uv, tint.w), -0.4);   // views are shrunk when used: keep them crisp
        if (grain.y > 0.5 && texel.a < 0.5) discard;
        albedo *= pow(texel.rgb, vec3(2.2));
    }
    if (finish.w > 0.0) {
        float n = 0.0, footprint = length(fwidth(world)) * grain.x;
        for (int k = 0; k < 3; k++) {                // octaves finer than a pixel fade out instead of aliasing
            float f = exp2(2.0 * float(k));
            n += lattice(world * grain.x * f) * clamp(1.5 - footprint * f, 0.0, 1.0);
        }
        albedo *= max(1.0 + finish.w * n, 0.05);
    }
    albedo = min(albedo, vec3(0.95));
    vec3 n = normalize(normal), v = normalize(eye - world);
    if (dot(n, v) < 0.0) n = -n;
    float open = texture(occlusion, gl_FragCoord.xy / size).r;
    vec3 light = ambient * (0.75 + 0.25 * n.z + 0.12 * n.x) * open, shine = vec3(0.0);
    for (int i = 0; i < lights; i++) {
        vec3 l = light_position[i] - world; float d2 = dot(l, l); l *= inversesqrt(d2);
        float facing = dot(n, l), cosine = max(dot(-l, light_direction[i]), 0.0);
        if (facing <= 0.0 || cosine <= 0.0) continue;
        vec3 e = light_intensity[i] * shadow(i) * (light_parallel[i] > 0.5 ? 1.0 : cosine / (d2 + 0.05));
        light += e * facing * mix(1.0, open, 0.4);
        shine += e * pow(max(dot(n, normalize(l + v)), 0.0), finish.y) * (finish.y + 8.0) * 0.04;
    }
    float fresnel = finish.x * (0.3 + 0.7 * pow(1.0 - clamp(dot(n, v), 0.0, 1.0), 4.0));
    colour = vec4(albedo * light + shine * finish.x * 0.1 + ambient * fresnel * 0.5 * open + albedo * finish.z, 1.0);
}"""
)
