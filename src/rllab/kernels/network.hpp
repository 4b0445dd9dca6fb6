// What all kernels share: matrix products, MLPs forward and backward, Adam, a team of threads. Plain arrays, row by row.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace {

constexpr int W = 16;                                              // floats of a vector
typedef float Vec __attribute__((vector_size(4 * W), aligned(4)));  // as wide as AVX-512; narrower ones are used in parts

inline Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
inline void store(float* p, Vec x) { *reinterpret_cast<Vec*>(p) = x; }

// C[m, n] = (bias[n] or 0) + sum over k of A[m * am + k * ak] * B[k * ldb + n], for MR rows and NR vectors of columns
template <int MR, int NR>
inline void tile(int K, const float* A, long am, long ak, const float* B, long ldb, float* C, long ldc, const float* bias) {
    Vec acc[MR][NR];
    for (int j = 0; j < NR; ++j) {
        Vec start = bias ? load(bias + j * W) : Vec{};
        for (int i = 0; i < MR; ++i) acc[i][j] = start;
    }
    for (int k = 0; k < K; ++k) {
        Vec b[NR];
        for (int j = 0; j < NR; ++j) b[j] = load(B + k * ldb + j * W);
        for (int i = 0; i < MR; ++i) {
            float a = A[i * am + k * ak];
            for (int j = 0; j < NR; ++j) acc[i][j] += a * b[j];
        }
    }
    for (int i = 0; i < MR; ++i)
        for (int j = 0; j < NR; ++j) store(C + i * ldc + j * W, acc[i][j]);
}

template <int NR>
void columns(int M, int K, const float* A, long am, long ak, const float* B, long ldb, float* C, long ldc, const float* bias) {
    int m = 0;
    for (; m + 8 <= M; m += 8) tile<8, NR>(K, A + m * am, am, ak, B, ldb, C + m * ldc, ldc, bias);
    for (; m + 4 <= M; m += 4) tile<4, NR>(K, A + m * am, am, ak, B, ldb, C + m * ldc, ldc, bias);
    for (; m < M; ++m) tile<1, NR>(K, A + m * am, am, ak, B, ldb, C + m * ldc, ldc, bias);
}

constexpr int FAR = 128;  // floats from one row to the next from which few rows share the first cache, and are copied

// C[M, N] = (bias[N] or 0) + A[M, K] B[K, N], where A[m, k] lies at m * am + k * ak
void gemm(int M, int N, int K, const float* A, long am, long ak, const float* B, long ldb, float* C, long ldc, const float* bias) {
    if (N < W) {
        for (int n = 0; n < N; ++n)
            for (int m = 0; m < M; ++m) {
                float sum = bias ? bias[n] : 0.f;
                for (int k = 0; k < K; ++k) sum += A[m * am + k * ak] * B[k * ldb + n];
                C[m * ldc + n] = sum;
            }
        return;
    }
    thread_local std::vector<float> near;
    const bool copies = ldb >= FAR && M >= 16;
    if (copies) near.resize(size_t(K) * 2 * W);
    for (int n = 0; n < N;) {
        const int width = n + 2 * W <= N ? 2 * W : W;
        if (n + width > N) n = N - W;  // the last vector covers some columns once more
        const float *b = B + n, *start = bias ? bias + n : nullptr;
        long step = ldb;
        if (copies) {
            for (int k = 0; k < K; ++k) std::memcpy(&near[size_t(k) * width], b + k * ldb, sizeof(float) * width);
            b = near.data();
            step = width;
        }
        if (width == W) columns<1>(M, K, A, am, ak, b, step, C + n, ldc, start);
        else columns<2>(M, K, A, am, ak, b, step, C + n, ldc, start);
        n += width;
    }
}

float dot(const float* a, const float* b, int n) {
    Vec acc{};
    int i = 0;
    for (; i + W <= n; i += W) acc += load(a + i) * load(b + i);
    float sum = 0.f;
    for (int j = 0; j < W; ++j) sum += acc[j];
    for (; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

inline Vec tanh_of(Vec x) {  // rational approximation, 4e-7 of absolute error; nan stays nan
    Vec hi = x > 7.90531110763549805f ? Vec{} + 7.90531110763549805f : x;
    x = hi < -7.90531110763549805f ? Vec{} - 7.90531110763549805f : hi;
    Vec x2 = x * x;
    Vec p = x2 * -2.76076847742355e-16f + 2.00018790482477e-13f;
    p = x2 * p + -8.60467152213735e-11f;
    p = x2 * p + 5.12229709037114e-08f;
    p = x2 * p + 1.48572235717979e-05f;
    p = x2 * p + 6.37261928875436e-04f;
    p = x2 * p + 4.89352455891786e-03f;
    Vec q = x2 * 1.19825839466702e-06f + 1.18534705686654e-04f;
    q = x2 * q + 2.26843463243900e-03f;
    q = x2 * q + 4.89352518554385e-03f;
    return x * p / q;
}

}  // namespace

extern "C" {
struct Layer {  // as Python describes it; steps lead from one session's parameters to the next one's
    int in, out, activation;
    const float *weight, *bias;  // [out, in], [out]
    long weight_step, bias_step;
};
}

namespace {

enum Activation { LINEAR, TANH, RELU };

struct Network {  // one session's MLP
    std::vector<Layer> layers;
    std::vector<std::vector<float>> outputs, packed;  // activations [rows, out], weights [in, out]
    std::vector<float> delta, delta_before, small;

    Network(const Layer* described, int count, int session, int rows) : layers(described, described + count) {
        int widest = 1, largest = 1;
        for (Layer& l : layers) {
            l.weight += session * l.weight_step;
            l.bias += session * l.bias_step;
            widest = std::max({widest, l.in, l.out});
            largest = std::max(largest, l.in * l.out);
            outputs.emplace_back(size_t(rows) * l.out + W);  // rooms are a vector longer than what they hold
            packed.emplace_back(l.out < W ? 0 : size_t(l.in) * l.out + W);
        }
        small.resize(largest + W);
        delta.resize(size_t(rows) * widest + W);
        delta_before.resize(size_t(rows) * widest + W);
    }

    void pack() {  // whenever parameters have changed
        for (size_t i = 0; i < layers.size(); ++i) {
            const Layer& l = layers[i];
            if (packed[i].empty()) continue;
            for (int o = 0; o < l.out; ++o)
                for (int k = 0; k < l.in; ++k) packed[i][size_t(k) * l.out + o] = l.weight[size_t(o) * l.in + k];
        }
    }

    const float* forward(const float* x, int rows) {
        for (size_t i = 0; i < layers.size(); ++i) {
            const Layer& l = layers[i];
            float* y = outputs[i].data();
            if (packed[i].empty()) {
                for (int r = 0; r < rows; ++r)
                    for (int o = 0; o < l.out; ++o)
                        y[long(r) * l.out + o] = l.bias[o] + dot(x + long(r) * l.in, l.weight + long(o) * l.in, l.in);
            } else {
                gemm(rows, l.out, l.in, x, l.in, 1, packed[i].data(), l.out, y, l.out, l.bias);
            }
            const long n = long(rows) * l.out;
            if (l.activation == TANH) for (long j = 0; j < n; j += W) store(y + j, tanh_of(load(y + j)));
            if (l.activation == RELU) for (long j = 0; j < n; ++j) y[j] = y[j] < 0.f ? 0.f : y[j];  // nan stays nan
            x = y;
        }
        return x;
    }

    // gradients of all parameters, at `grad` as those lie from `params` on, given those of the outputs in `delta`
    void backward(const float* params, float* grad, const float* x, int rows) {
        for (int i = int(layers.size()) - 1; i >= 0; --i) {
            const Layer& l = layers[i];
            const float* input = i ? outputs[i - 1].data() : x;
            float *d = delta.data(), *gw = grad + (l.weight - params), *gb = grad + (l.bias - params);
            for (int o = 0; o < l.out; ++o) gb[o] = 0.f;
            for (int r = 0; r < rows; ++r)
                for (int o = 0; o < l.out; ++o) gb[o] += d[long(r) * l.out + o];
            if (l.in >= W) {
                gemm(l.out, l.in, rows, d, 1, l.out, input, l.in, gw, l.in, nullptr);
            } else {
                gemm(l.in, l.out, rows, input, 1, l.in, d, l.out, small.data(), l.out, nullptr);
                for (int o = 0; o < l.out; ++o)
                    for (int k = 0; k < l.in; ++k) gw[o * l.in + k] = small[k * l.out + o];
            }
            if (!i) break;
            gemm(rows, l.in, l.out, d, l.out, 1, l.weight, l.in, delta_before.data(), l.in, nullptr);
            float* before = delta_before.data();
            const long n = long(rows) * l.in;
            const int activation = layers[i - 1].activation;
            if (activation == RELU) for (long j = 0; j < n; ++j) before[j] = input[j] > 0.f ? before[j] : 0.f;
            if (activation == TANH) for (long j = 0; j < n; ++j) before[j] *= 1.f - input[j] * input[j];
            std::swap(delta, delta_before);
        }
    }
};

}  // namespace

extern "C" {
struct Optimizer {
    int size, rmsprop;
    float beta1, beta2, eps, lr, max_grad_norm;  // of RMSprop, beta2 is alpha
    float *params, *exp_avg, *exp_avg_sq, *steps;  // [S, size], [S]; RMSprop has exp_avg_sq alone
};
}

namespace {

// Clip one session's gradient and move its parameters along it; the norm before.
inline float optimize(const Optimizer& o, int session, const float* __restrict grad) {
    const int size = o.size;
    const float beta1 = o.beta1, beta2 = o.beta2, eps = o.eps, lr = o.lr;  // nothing that is written may be one of them
    float *__restrict params = o.params + long(session) * size, *__restrict v = o.exp_avg_sq + long(session) * size;
    const float norm = std::sqrt(dot(grad, grad, size));
    const float scale = 1.f / std::max(norm / o.max_grad_norm, 1.f);
    if (o.rmsprop) {
        for (int i = 0; i < size; ++i) {
            const float g = grad[i] * scale;
            v[i] = beta2 * v[i] + (1.f - beta2) * g * g;
            params[i] -= lr * g / (std::sqrt(v[i]) + eps);
        }
        return norm;
    }
    float* __restrict m = o.exp_avg + long(session) * size;
    const float step = o.steps[session] += 1.f;
    const double bias1 = 1.0 - std::pow(double(beta1), step), bias2 = 1.0 - std::pow(double(beta2), step);
    const float stride = float(lr / bias1), root = float(std::sqrt(bias2));
    for (int i = 0; i < size; ++i) {
        const float g = grad[i] * scale;
        m[i] += (g - m[i]) * (1.f - beta1);
        v[i] = beta2 * v[i] + (1.f - beta2) * g * g;
        params[i] -= stride * m[i] / (std::sqrt(v[i]) / root + eps);
    }
    return norm;
}

// The first of n values that no other exceeds; as numpy has it, nan is the largest.
template <class Value>
int largest(int n, Value value) {
    int best = 0;
    float top = value(0);
    for (int i = 1; i < n; ++i) {
        const float x = value(i);
        if (x > top || (x != x && top == top)) { top = x; best = i; }
    }
    return best;
}

template <class Work>
void each_session(int sessions, int threads, Work work) {
    std::vector<std::thread> team;
    for (int t = 1; t < std::min(threads, sessions); ++t)
        team.emplace_back([=] { for (int s = t; s < sessions; s += threads) work(s); });
    for (int s = 0; s < sessions; s += threads) work(s);
    for (auto& each : team) each.join();
}

}  // namespace
